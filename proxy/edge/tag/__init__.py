"""The tag as a site serves it."""
