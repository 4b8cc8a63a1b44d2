"""How fast to deliver: back-off after failures, probes of a paused pixel, requests under way, sizes of batches.

Waits are in seconds; the randomness is an argument.
"""

from collections.abc import Sequence

from proxy.graph.law import MAX_BATCH

FIRST_S = 0.8
PROBE_S = 5.0
MOST_S = 300.0
# While new events come in, Graph is tried every 15 s at least, whatever the back-off says; a try takes time too.
FRESH_S = 14.0
WINDOW_MOST = 8
# An answer this much slower than the quickest of its like says that Graph has enough to do.
_SLOW = 3.0
RECENT = 16
"""How many answers to batches of like size are compared."""
# Smaller batches would make fresh events wait for one another, and one bad event in eight is a flood.
_LEAST_EVENTS = 8


def backoff(failures: int, chance: float, *, asked: float = 0.0) -> float:
    """Return the wait after the n-th failure in a row: full jitter below a doubling ceiling, or what Graph asked.

    ``chance`` is uniform in [0, 1). Full jitter spreads many lanes that failed at one moment.
    """
    return max(asked, chance * min(MOST_S, FIRST_S * 2.0 ** min(failures - 1, 20)))


def like(events: int) -> int:
    """Return which batches are of like size: within a factor of two, since Graph takes longer for more events."""
    return events.bit_length()


def widen(window: int, latencies: Sequence[float]) -> int:
    """Return how many requests may be under way after a good answer: one more, unless answers became slow.

    ``latencies`` are those of the latest answers to batches of like size, this one last. No older answer counts, so one
    quick answer does not narrow the window for good.
    """
    return min(window + 1, WINDOW_MOST) if latencies[-1] <= min(latencies) * _SLOW else max(1, window - 1)


def bound(events: int) -> int:
    """Return the least power of two that is not less: few bounds, so that many suspects may ride together."""
    return 1 << max(0, events - 1).bit_length()


def fewer(events: int) -> int:
    """Return how many fresh events to send together after a batch was refused: half as many, so fewer are searched."""
    return max(_LEAST_EVENTS, events // 2)


def more(events: int) -> int:
    """Return how many fresh events to send together after a batch was taken: twice as many."""
    return min(MAX_BATCH, events * 2)


def narrow(window: int) -> int:
    """Return how many requests may be under way after a failure: half as many."""
    return max(1, window // 2)


def probe(probes: int) -> float:
    """Return the wait before the next probe of a pause: 5 s at first, ever more rarely up to five minutes."""
    return min(MOST_S, PROBE_S * 2.0 ** min(probes, 20))
