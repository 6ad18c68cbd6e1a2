"""How one gets in: where it listens, who may look, and the connections."""
