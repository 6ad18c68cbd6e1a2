"""What `latest` says, kept in an MQTT broker; Home Assistant finds it by itself."""
