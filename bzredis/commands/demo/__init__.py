"""The demo: on a terminal a board, through a pipe lines."""
