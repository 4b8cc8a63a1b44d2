"""Readers of any body in which Meta's clients send server events, into one shape: keys, request fields, events."""
