"""Alerts: somebody is told of what stands on the board of conditions, and of what is over."""
