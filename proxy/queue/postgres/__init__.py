"""The queue in PostgreSQL, shared by many proxies."""
