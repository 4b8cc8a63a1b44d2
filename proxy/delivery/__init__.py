"""Delivery of events from the queue to Meta's Graph API."""
