"""How a running bridge is, for what looks after it: systemd, probes, Prometheus."""
