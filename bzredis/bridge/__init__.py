"""Who sees to it all: nurseries, coverage, REST."""
