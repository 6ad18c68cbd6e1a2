"""Commands that mend what stands in Redis, from its own log."""
