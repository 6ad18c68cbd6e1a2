"""What a reaction takes from Redis, and what it keeps there."""
