"""Look at what stands in Redis, from Redis alone: it runs anywhere."""
