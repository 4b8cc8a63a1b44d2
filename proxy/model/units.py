"""Units of time."""

DAY_MS = 24 * 60 * 60 * 1000
