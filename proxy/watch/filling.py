"""How soon something is full, by the measurements of the last half hour. No I/O, no clock."""

from collections import deque
from typing import Final

from proxy.model.units import DAY_MS, HOUR_MS

_SPAN_MS: Final = 30 * 60_000
_LEAST_SPAN_MS: Final = 10 * 60_000
_MOST_SAMPLES: Final = 120
SOON_MS: Final = DAY_MS
"""A condition begins when the bound is reached within this time, and is over when that takes twice as long."""


class Trend:
    """Remembers measurements, and predicts when a bound is reached at their rate of change."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, float]] = deque(maxlen=_MOST_SAMPLES)

    def add(self, at: int, value: float) -> None:
        """Add a measurement; ``at`` is in milliseconds. When the clock stepped back, earlier ones are forgotten."""
        if self._samples and at <= self._samples[-1][0]:
            self._samples.clear()
        self._samples.append((at, value))
        while at - self._samples[0][0] > _SPAN_MS:
            self._samples.popleft()

    def ms_until(self, bound: float) -> float | None:
        """Return in how many milliseconds the bound is reached; None when it will not be, or that is not known yet."""
        if not self._samples:
            return None
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        rate = (last - first) / (end - begin) if end - begin >= _LEAST_SPAN_MS else 0.0
        left = bound - last
        return left / rate if rate and left / rate >= 0 else None

    def reaches_soon(self, bound: float, *, stands: bool) -> bool:
        """Tell whether the bound is reached within ``SOON_MS``; within twice that, while the condition ``stands``."""
        reached = self.ms_until(bound)
        return reached is not None and reached < (2 * SOON_MS if stands else SOON_MS)


def duration_text(milliseconds: float) -> str:
    """Return a duration in words, rounded to hours or minutes."""
    hours = milliseconds / HOUR_MS
    return f"{hours:.0f} h" if hours >= 2 else f"{milliseconds / 60_000:.0f} min"
