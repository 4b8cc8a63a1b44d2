"""When to try again: back-off after failures, probes of a paused pixel. Seconds; the randomness is an argument."""

FIRST_S = 0.8
PROBE_S = 5.0
MOST_S = 300.0
# While new events come in, Graph is tried every 15 s at least, whatever the back-off says; a try takes time too.
FRESH_S = 14.0
WINDOW_MOST = 8
# An answer this much slower than the best one seen says that Graph has enough to do.
_SLOW = 3.0


def backoff(failures: int, chance: float, *, asked: float = 0.0) -> float:
    """Return the wait after the n-th failure in a row: full jitter below a doubling ceiling, or what Graph asked.

    ``chance`` is uniform in [0, 1). Full jitter spreads many lanes that failed at one moment.
    """
    return max(asked, chance * min(MOST_S, FIRST_S * 2.0 ** min(failures - 1, 20)))


def widen(window: int, latency: float, best: float) -> int:
    """Return how many requests may be under way after a good answer: one more, unless answers became slow."""
    return min(window + 1, WINDOW_MOST) if latency <= best * _SLOW else max(1, window - 1)


def narrow(window: int) -> int:
    """Return how many requests may be under way after a failure: half as many."""
    return max(1, window // 2)


def probe(probes: int) -> float:
    """Return the wait before the next probe of a pause: 5 s at first, ever more rarely up to five minutes."""
    return min(MOST_S, PROBE_S * 2.0 ** min(probes, 20))
