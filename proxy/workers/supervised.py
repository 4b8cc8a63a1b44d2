"""What a parent remembers of a process that it starts again and again."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from socket import socket

from proxy.workers.child import Child, Main

_FIRST_DELAY_S = 0.05
_LONGEST_DELAY_S, _LONGEST_DELAY_OF_FAILURES_S = 1.0, 5.0
"""Before a process is started again that had been ready, and one that had not."""
_REMEMBERED_S = 30.0
"""So old an end makes no delay longer."""


@dataclass(slots=True)
class Supervised:
    """What one child after another does."""

    name: str
    main: Main
    sockets: Sequence[socket] = ()
    """Of a front: where it accepts connections."""
    child: Child | None = None
    ends: deque[float] = field(default_factory=deque)
    """When its latest children ended."""
    failed_starts: int = 0
    due: float = 0.0
    """When the next one is started."""

    @property
    def is_ready(self) -> bool:
        """Whether its child has said so."""
        return self.child is not None and bool(self.child.address)

    def delay(self, now: float) -> float:
        """Return how long to wait before the next child after one that ended now."""
        while self.ends and self.ends[0] < now - _REMEMBERED_S:
            self.ends.popleft()
        self.ends.append(now)
        longest = _LONGEST_DELAY_OF_FAILURES_S if self.failed_starts else _LONGEST_DELAY_S
        return float(min(_FIRST_DELAY_S * 2 ** min(len(self.ends) - 1, 10), longest))
