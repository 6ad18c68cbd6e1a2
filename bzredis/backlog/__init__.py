"""What was read waits here until Redis has it."""
