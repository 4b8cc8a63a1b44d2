"""What the parent remembers of a process that it restarts whenever it ends."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from socket import socket

from proxy.workers.child import Child, Main

_FIRST_DELAY_S = 0.05
_LONGEST_DELAY_S, _LONGEST_DELAY_OF_FAILURES_S = 1.0, 5.0
"""The longest delays before a restart, in seconds: of a process that had been ready, and of one that had not."""
_REMEMBERED_S = 30.0
"""For how many seconds an end counts; older ends do not lengthen the delay."""


@dataclass(slots=True)
class Supervised:
    """A process of the proxy, which one child after another is."""

    name: str
    main: Main
    sockets: Sequence[socket] = ()
    """The sockets on which a front accepts connections; empty for the back."""
    child: Child | None = None
    ends: deque[float] = field(default_factory=deque)
    """When its latest children ended."""
    failed_starts: int = 0
    due: float = 0.0
    """When the next child is due to start, by ``time.monotonic``."""

    @property
    def is_ready(self) -> bool:
        """Whether its child has reported that it is ready."""
        return self.child is not None and bool(self.child.address)

    def delay(self, now: float) -> float:
        """Note that a child ended now; return how many seconds to wait before the next is started."""
        while self.ends and self.ends[0] < now - _REMEMBERED_S:
            self.ends.popleft()
        self.ends.append(now)
        longest = _LONGEST_DELAY_OF_FAILURES_S if self.failed_starts else _LONGEST_DELAY_S
        return float(min(_FIRST_DELAY_S * 2 ** min(len(self.ends) - 1, 10), longest))
