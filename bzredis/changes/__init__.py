"""What a message changes: a plain value for the script. Pure."""
