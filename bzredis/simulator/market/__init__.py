"""A made-up market: pure and seeded."""
