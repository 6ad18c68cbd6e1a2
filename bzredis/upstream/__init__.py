"""The way in: text comes, over WebSockets and REST."""
