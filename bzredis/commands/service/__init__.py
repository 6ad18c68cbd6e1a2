"""The bridge as a service of its user's: what starts it, and starts it again."""
