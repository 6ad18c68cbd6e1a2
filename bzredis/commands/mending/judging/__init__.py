"""What each key should be by its log, and what differs: pure."""
