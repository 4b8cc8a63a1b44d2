"""Watching: what is wrong that no single event shows, found in figures once a minute."""
