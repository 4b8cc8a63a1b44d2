"""How soon something is full, from what was measured within half an hour. No I/O, no clock."""

from collections import deque
from typing import Final

from proxy.model.units import DAY_MS, HOUR_MS

_SPAN_MS: Final = 30 * 60_000
_LEAST_SPAN_MS: Final = 10 * 60_000
_MOST_SAMPLES: Final = 120
SOON_MS: Final = DAY_MS
"""Full within this time: a condition; over when it takes twice as long."""


class Trend:
    """Remembers what was measured, and says when a bound is reached at this rate."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, float]] = deque(maxlen=_MOST_SAMPLES)

    def add(self, at: int, value: float) -> None:
        """Take a measurement; ``at`` is in milliseconds. A clock that stepped back begins anew."""
        if self._samples and at <= self._samples[-1][0]:
            self._samples.clear()
        self._samples.append((at, value))
        while at - self._samples[0][0] > _SPAN_MS:
            self._samples.popleft()

    def reaches(self, bound: float) -> float | None:
        """Return in how many milliseconds the bound is reached; None where it is not, or not known yet."""
        if not self._samples:
            return None
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        rate = (last - first) / (end - begin) if end - begin >= _LEAST_SPAN_MS else 0.0
        left = bound - last
        return left / rate if rate and left / rate >= 0 else None

    def reaches_soon(self, bound: float, *, stands: bool) -> bool:
        """Tell whether the bound is reached soon; where it was before, that is over only when it takes much longer."""
        reached = self.reaches(bound)
        return reached is not None and reached < (2 * SOON_MS if stands else SOON_MS)


def in_words(milliseconds: float) -> str:
    """Return a time to come, roughly."""
    hours = milliseconds / HOUR_MS
    return f"{hours:.0f} h" if hours >= 2 else f"{milliseconds / 60_000:.0f} min"
