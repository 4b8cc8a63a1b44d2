"""A strict Graph API look-alike."""
