"""The age of an event, by one measure for all, though Graph lets some be older than others."""

from proxy.graph.law import MAX_AGE_MS, max_age_ms


def aging_from_s(time_s: int, action_source: str) -> int:
    """Return when an event would have happened that is ``MAX_AGE_MS`` old the moment this one has its greatest age.

    So one bound tells for all events which are too old. For nearly all of them it is when they happened.
    """
    return time_s + (max_age_ms(action_source) - MAX_AGE_MS) // 1000
