"""What is seen: each view of what stands in Redis, as lines for rich."""
