"""Any body in which Meta's clients send server events, in one shape: keys, request fields, events."""
