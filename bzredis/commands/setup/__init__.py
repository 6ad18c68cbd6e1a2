"""The commands that set up: what is in force, and a first file of it."""
