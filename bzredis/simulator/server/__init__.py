"""The market on real sockets, as upstream would be."""
