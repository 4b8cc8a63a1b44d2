"""Meta's rules: what the Graph API takes, and what its answers mean. Pure functions and constants."""
