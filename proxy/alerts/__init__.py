"""Alerts: messages to receivers about conditions that stand on the board, and about those that are over."""
