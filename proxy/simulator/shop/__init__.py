"""The sample shop of the demo."""
