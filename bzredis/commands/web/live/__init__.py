"""What comes, followed once for all pages."""
