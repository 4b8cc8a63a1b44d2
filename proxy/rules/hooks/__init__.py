"""Webhooks of shops: whose they are, and which events their orders, refunds and subscriptions come to. Pure."""
