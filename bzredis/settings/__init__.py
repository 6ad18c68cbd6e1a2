"""What a person said: options, addresses, the configuration."""
