"""A sudden fall of the pair rate: far fewer browser copies fire than usual. No I/O, no clock."""

from collections.abc import Callable, Sequence
from math import sqrt
from statistics import fmean, variance
from typing import Final, NamedTuple

_WINDOWS: Final = (3, 6, 12, 24)
"""Hours; of these the shortest with enough events is looked at."""
_DAYS: Final = 14
_LEAST_NOW: Final = 200
_LEAST_BEFORE: Final = 100
_LEAST_DAYS: Final = 3
_GAP: Final = 0.10
"""A fall that matters, whatever statistics say: a tenth of all copies."""
_ERRORS: Final = 4.0
"""Standard errors. A week has 168 hours and a proxy a few sites, so three would come by chance now and then."""

Copies = Callable[[range], tuple[int, int]]
"""Returns how many browser copies fired in some hours, and how many were blocked."""


class Fall(NamedTuple):
    """The pair rate fell."""

    usual: float
    now: float
    hours: int
    """Over which it was looked at."""
    copies: int
    """How many copies are known of these hours."""


def fall(copies: Copies, hour: int, *, stands: bool) -> Fall | None:
    """Return how far the pair rate fell against the same hours of earlier days; None where it did not, or who knows.

    Args:
        copies: What is known, by hours since 1970 in UTC.
        hour: The current one, which is not looked at.
        stands: It was found to have fallen before: it is over when half of the bound is left.
    """
    for length in _WINDOWS:
        window = range(hour - length, hour)
        fired, blocked = copies(window)
        usual = _usual_rates(copies, window)
        if fired + blocked >= _LEAST_NOW and len(usual) >= _LEAST_DAYS:
            return _compared(Fall(fmean(usual), fired / (fired + blocked), length, fired + blocked), usual, stands)
    return None


def _usual_rates(copies: Copies, window: range) -> Sequence[float]:
    days = [copies(range(window.start - 24 * day, window.stop - 24 * day)) for day in range(1, _DAYS + 1)]
    return [fired / (fired + blocked) for fired, blocked in days if fired + blocked >= _LEAST_BEFORE]


def _compared(found: Fall, usual: Sequence[float], stands: bool) -> Fall | None:  # noqa: FBT001 - of ``fall``
    # What differs between days comes on top of what chance makes of so many copies.
    error = sqrt(found.usual * (1 - found.usual) / found.copies + variance(usual))
    bound = max(_GAP, _ERRORS * error)
    return found if found.usual - found.now >= (bound / 2 if stands else bound) else None
