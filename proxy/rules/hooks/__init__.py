"""Webhooks of shops: who sent them, and which events their orders, refunds and subscriptions become. Pure."""
