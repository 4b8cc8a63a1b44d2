"""How many requests of a lane are under way, and how many fresh events each carries."""

from collections import defaultdict, deque

from proxy.delivery import pace
from proxy.graph.law import MAX_BATCH
from proxy.model.verdict import Pause, Retry

_THROTTLED = "throttled"


class Pacing:
    """Adapts the number of requests and the size of batches to the answers of Graph."""

    def __init__(self) -> None:
        self.is_well = False
        """Whether the last answer was good, so that helpers may work."""
        self.window = 1
        """How many requests may be under way."""
        self.batch = MAX_BATCH
        """How many fresh events go out together."""
        self._latencies: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=pace.RECENT))
        """Seconds of the latest good answers, by ``pace.size_class``."""

    def halted(self, halt: Pause | Retry, *, fresh: bool) -> None:
        """Adapt to a request that ended with a pause or a retry; ``fresh``: it carried fresh events."""
        self.is_well, self.window = False, pace.narrower_window(self.window)
        if fresh and isinstance(halt, Retry) and halt.reason != _THROTTLED:
            # Graph may fail because of one of the events; in smaller batches the others can be delivered.
            self.batch = pace.smaller_batch(self.batch)

    def refused(self, events: int) -> None:
        """Adapt to the refusal of a batch of ``events`` fresh events."""
        self.batch = pace.smaller_batch(events)

    def delivered(self, events: int, latency: float) -> None:
        """Adapt to the delivery of a batch of ``events`` fresh events, answered after ``latency`` seconds."""
        self.batch = pace.larger_batch(self.batch)
        latencies = self._latencies[pace.size_class(events)]
        latencies.append(latency)
        self.window = pace.window_after(self.window, latencies)
