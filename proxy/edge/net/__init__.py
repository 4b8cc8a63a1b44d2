"""Connections, HTTP and the PROXY protocol, for any listener."""
