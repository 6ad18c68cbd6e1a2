"""Measures the bridge beside what people write by hand: `scripts/bench`."""
