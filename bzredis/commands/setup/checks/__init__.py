"""What `bzredis check` looks at: each file a family, and what it judges by apart."""
