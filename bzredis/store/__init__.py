"""Redis: its keys, the script that applies a batch, and the client that calls it."""
