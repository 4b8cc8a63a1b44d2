"""The age of an event on one scale, though Graph lets some events be older than others."""

from proxy.graph.law import MAX_AGE_MS, max_age_ms


def aging_from_s(time_s: int, action_source: str) -> int:
    """Return the time (in seconds) from which an event's age is counted, so that ``MAX_AGE_MS`` is the limit for all.

    For most events it is when they happened; for an event that may be older than ``MAX_AGE_MS`` it is later by the
    difference.
    """
    return time_s + (max_age_ms(action_source) - MAX_AGE_MS) // 1000
