"""What `run` is made with, and what it says for itself."""
