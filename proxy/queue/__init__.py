"""The promise: what was acknowledged is durable."""
