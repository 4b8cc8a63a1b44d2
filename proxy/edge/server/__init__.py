"""The doors for servers: events from a backend, an SDK or a shop, in the formats of Meta's Graph API and Gateway."""
