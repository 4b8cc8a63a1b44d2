"""How old an event may be for Graph to take it, which depends on where it happened."""

from proxy.graph.law import IN_STORE, MAX_AGE_IN_STORE_MS, MAX_AGE_MS


def max_age_ms(action_source: str) -> int:
    """Return how old an event of an action source may be."""
    return MAX_AGE_IN_STORE_MS if action_source == IN_STORE else MAX_AGE_MS


def aging_from_s(time_s: int, action_source: str) -> int:
    """Return when an event would have happened that is ``MAX_AGE_MS`` old the moment this one has its greatest age.

    So one bound tells for all events which are too old. For nearly all of them it is when they happened.
    """
    return time_s + (max_age_ms(action_source) - MAX_AGE_MS) // 1000
