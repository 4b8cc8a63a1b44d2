"""Meta's law: what the Graph API takes, and what its answers mean. Pure."""
