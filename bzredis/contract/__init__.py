"""What consumers may rely on, as tables: keys, fields, schemas and pages. Pure."""
