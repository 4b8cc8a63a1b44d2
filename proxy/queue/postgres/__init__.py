"""The shared queue: PostgreSQL behind any number of proxies."""
