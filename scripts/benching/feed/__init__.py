"""What plays upstream, and its frames."""
