"""A sudden fall of the pair rate: far fewer browser copies fire than usual. No I/O, no clock."""

from collections.abc import Callable, Sequence
from math import sqrt
from statistics import fmean, variance
from typing import Final, NamedTuple

_WINDOWS: Final = (3, 6, 12, 24)
"""Lengths in hours of the time that is judged: the shortest with enough events."""
_DAYS: Final = 14
_LEAST_NOW: Final = 200
_LEAST_BEFORE: Final = 100
_LEAST_DAYS: Final = 3
_LEAST_FALL: Final = 0.10
"""The least fall that is reported, however certain it is: a tenth of all copies."""
_ERRORS: Final = 4.0
"""How many standard errors a fall must have. With 168 hours a week and a few sites, three would come by chance."""

Copies = Callable[[range], tuple[int, int]]
"""Returns how many browser copies fired in a range of hours, and how many were blocked."""


class PairRateFall(NamedTuple):
    """A fall of the pair rate; both rates are between 0 and 1."""

    usual: float
    now: float
    hours: int
    """How many hours were judged."""
    copies: int
    """How many browser copies of these hours are known to have fired or to have been blocked."""


def pair_rate_fall(copies: Copies, hour: int, *, stands: bool) -> PairRateFall | None:
    """Return how far the pair rate fell against the same hours of earlier days; None if not, or with too few events.

    Args:
        copies: Returns the counts of a range of hours, which are numbered since 1970 in UTC.
        hour: The current hour, which is not judged.
        stands: Whether a fall is reported already; then half of the bound suffices to report it still.
    """
    for length in _WINDOWS:
        window = range(hour - length, hour)
        fired, blocked = copies(window)
        usual = _usual_rates(copies, window)
        if fired + blocked >= _LEAST_NOW and len(usual) >= _LEAST_DAYS:
            return _significant_fall(
                PairRateFall(fmean(usual), fired / (fired + blocked), length, fired + blocked), usual, stands
            )
    return None


def _usual_rates(copies: Copies, window: range) -> Sequence[float]:
    days = [copies(range(window.start - 24 * day, window.stop - 24 * day)) for day in range(1, _DAYS + 1)]
    return [fired / (fired + blocked) for fired, blocked in days if fired + blocked >= _LEAST_BEFORE]


def _significant_fall(found: PairRateFall, usual: Sequence[float], stands: bool) -> PairRateFall | None:  # noqa: FBT001 - of ``fall``
    # The variance between days adds to the variance by chance among so many copies.
    error = sqrt(found.usual * (1 - found.usual) / found.copies + variance(usual))
    bound = max(_LEAST_FALL, _ERRORS * error)
    return found if found.usual - found.now >= (bound / 2 if stands else bound) else None
