"""Everything that touches a socket of a client: listeners, HTTP, and the doors that answer requests."""
