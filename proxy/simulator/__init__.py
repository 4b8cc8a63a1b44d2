"""A strict Graph API look-alike, and the sample shop of the demo."""
