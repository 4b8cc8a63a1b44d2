"""How fast to deliver: back-off after failures, probes of a paused pixel, requests under way, sizes of batches.

Waits are in seconds. The randomness is an argument, so that each function always maps the same input to one result.
"""

from collections.abc import Sequence

from proxy.graph.law import MAX_BATCH

FIRST_S = 0.8
"""The ceiling of the wait after the first failure."""
PROBE_S = 5.0
"""The wait before the first probe of a pause, and the default of all other waits."""
MOST_S = 300.0
FRESH_S = 14.0
"""The longest wait while new events come in: with the time of a request, Graph is asked every 15 s."""
GATHER_S = 0.05
"""The wait between batches while few events wait, so that they share a request, which costs as much as many events."""
LOOK_S = 1.0
"""How often a lane that sleeps until held events are due looks at the clock."""
WINDOW_MOST = 8
"""How many requests of a lane may be under way."""
# Graph asks for no longer wait (``proxy.graph.verdict``); a clock that was set back must not cause a longer one.
_MOST_ASKED_S = 3600.0
# An answer so many times slower than the quickest to a batch of like size means that Graph is busy.
_SLOW = 3.0
RECENT = 16
"""How many answers to batches of like size are compared."""
# The smallest batch of fresh events: with smaller ones they would wait for each other, and more than one bad event
# in eight is a flood.
_LEAST_EVENTS = 8


def backoff(failures: int, chance: float, *, asked: float = 0.0) -> float:
    """Return the wait in seconds after a failure: full jitter below a doubling ceiling, or what Graph asked for.

    Full jitter spreads many lanes that failed at one moment:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Args:
        failures: How many there were in a row, this one included.
        chance: Uniform in [0, 1).
        asked: The least wait in seconds that Graph asked for.
    """
    return max(asked, chance * min(MOST_S, FIRST_S * 2.0 ** min(failures - 1, 20)))


def resumption(left: float, *, paused: bool) -> float:
    """Return the wait in seconds before the first attempt of a process that takes over a lane after a failure.

    A wait that Graph asked for is kept to its end. A pause is probed as soon as a new one would be: an operator who
    ended its cause, as by a new token and the restart that this takes, does not wait for five minutes.

    Args:
        left: Seconds until the time that the process before had set for its next attempt; negative when it is over.
        paused: Whether the lane was paused.
    """
    return max(0.0, min(left, PROBE_S if paused else _MOST_ASKED_S))


def size_class(events: int) -> int:
    """Return the size class of a batch, alike within a factor of two: only latencies of one class are comparable."""
    return events.bit_length()


def window_after(window: int, latencies: Sequence[float]) -> int:
    """Return how many requests may be under way after a good answer: one more, unless answers became slow.

    ``latencies`` are those of the latest answers to batches of like size in seconds, this one last. No older answer
    counts, so one quick answer does not narrow the window for good.
    """
    return min(window + 1, WINDOW_MOST) if latencies[-1] <= min(latencies) * _SLOW else max(1, window - 1)


def next_power_of_two(events: int) -> int:
    """Return the least power of two that is not less than ``events``: with few bounds, many suspects share a batch."""
    return 1 << max(0, events - 1).bit_length()


def smaller_batch(events: int) -> int:
    """Return how many fresh events to send together after a refused batch: half as many, so fewer become suspects."""
    return max(_LEAST_EVENTS, events // 2)


def larger_batch(events: int) -> int:
    """Return how many fresh events to send together after a batch was taken: twice as many."""
    return min(MAX_BATCH, events * 2)


def gathering(waiting: int, most: int) -> float:
    """Return the wait in seconds after a batch was taken, for more events to come; none when many wait already.

    Args:
        waiting: How many fresh events wait.
        most: How many go out together.
    """
    return GATHER_S if waiting < most / 2 else 0.0


def narrower_window(window: int) -> int:
    """Return how many requests may be under way after a failure: half as many."""
    return max(1, window // 2)


def probe_wait(probes: int) -> float:
    """Return the wait in seconds before the next probe of a pause after ``probes``: 5 s first, five minutes at most."""
    return min(MOST_S, PROBE_S * 2.0 ** min(probes, 20))
