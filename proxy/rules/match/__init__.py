"""From customer information to match keys: normalised, hashed."""
