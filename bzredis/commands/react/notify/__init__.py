"""Messages to people: what is said, when, and through which services."""
