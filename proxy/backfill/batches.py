"""Which events travel together, and how far a file is done when they have arrived."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import orjson

from proxy.backfill.claims import NotSent
from proxy.backfill.judge import Ready
from proxy.backfill.progress import Progress
from proxy.model.server_request import RequestFields

MOST_EVENTS = 1000
"""Of one request, as with Meta."""
MOST_BYTES = 4 << 20
"""Of one request: a quarter of what a server door reads."""


class Reached(NamedTuple):
    """How far a file is done."""

    end: int = 0
    """Bytes whose lines are done."""
    beyond: int = 0
    """Events and other results done of the line behind them."""

    def after(self, item: Ready | NotSent, line_end: int) -> "Reached":
        """Return the place behind one more result.

        Args:
            item: The result.
            line_end: Where the line of the result before it ended.
        """
        return Reached(self.end, self.beyond + 1) if item.end == line_end else Reached(line_end, 1)


class EventBatch(NamedTuple):
    """Events of one request, in the order of the file."""

    lines: tuple[int, ...]
    events: tuple[bytes, ...]
    """Each as JSON."""
    fields: RequestFields
    place: Reached
    """What is done once they have arrived."""

    def body(self) -> bytes:
        """Return the body of the request."""
        said = {name: value for name, value in self.fields._asdict().items() if value}
        return b'{"data":[' + b",".join(self.events) + b"]" + (b"," + orjson.dumps(said)[1:-1] if said else b"") + b"}"

    def halves(self) -> tuple["EventBatch", "EventBatch"]:
        """Return two batches of half the size; only when both have arrived the place of this one is reached."""
        middle = len(self.events) // 2
        first = self._replace(lines=self.lines[:middle], events=self.events[:middle])
        return first, self._replace(lines=self.lines[middle:], events=self.events[middle:])


def remaining(items: Iterable[Ready | NotSent], progress: Progress) -> Iterator[tuple[Ready | NotSent, Reached]]:
    """Yield what an earlier run has not done, each with the place behind it.

    Args:
        items: All results of a file, in its order.
        progress: What the earlier run reached.
    """
    place, line_end = Reached(), 0
    for item in items:
        place, line_end = place.after(item, line_end), item.end
        if place > Reached(progress.end, progress.beyond):
            yield item, place


def batches(items: Iterable[tuple[Ready | NotSent, Reached]], fields: RequestFields) -> Iterator[EventBatch]:
    """Yield the events in batches; events whose request fields differ never share one.

    The last may have no events, only a place that is reached: the end of the last line, for nothing is left of it.

    Args:
        items: Results with the place behind each.
        fields: What is said of all events where their own line says nothing.
    """
    lines: list[int] = []
    events: list[bytes] = []
    shared, size = fields, 0
    reached: Reached | None = None
    end = 0
    for item, place in items:
        if isinstance(item, Ready):
            event, own = orjson.dumps(dict(item.event)), _merged(item.fields, fields)
            if reached and events and (own != shared or size + len(event) > MOST_BYTES or len(events) >= MOST_EVENTS):
                yield EventBatch(tuple(lines), tuple(events), shared, reached)
                lines, events, size = [], [], 0
            lines.append(item.line)
            events.append(event)
            shared, size = own, size + len(event)
        reached, end = place, item.end
    if reached:
        yield EventBatch(tuple(lines), tuple(events), shared, Reached(end))


def _merged(own: RequestFields, general: RequestFields) -> RequestFields:
    return RequestFields(*(mine or other for mine, other in zip(own, general, strict=True)))
