"""Each figure, and how it is taken."""
