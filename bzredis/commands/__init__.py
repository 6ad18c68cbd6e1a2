"""What a person runs, and what that needs."""
