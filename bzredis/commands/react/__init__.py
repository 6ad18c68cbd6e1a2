"""`bzredis react`: run something on what happens, from Redis alone."""
