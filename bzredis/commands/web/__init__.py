"""The board in the browser: pages, widgets and JSON, from Redis alone."""
