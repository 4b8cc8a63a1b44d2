"""Which events are sent in one request, and how far a file is done when they have arrived."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import orjson

from proxy.backfill.claims import NotSent
from proxy.backfill.judge import Ready
from proxy.backfill.progress import Progress
from proxy.model.server_request import RequestFields

MOST_EVENTS = 1000
"""The most events of one request; Meta's limit too."""
MOST_BYTES = 4 << 20
"""The most bytes of events in one request: a quarter of the body that the proxy accepts from servers."""


class FilePosition(NamedTuple):
    """How far a file is done."""

    end: int = 0
    """Bytes of the file up to the last line of which everything is done."""
    beyond: int = 0
    """How many results of the next line are done: events, sent or left out."""

    def after(self, item: Ready | NotSent, line_end: int) -> "FilePosition":
        """Return the place that is reached when one more result is done.

        Args:
            item: The result.
            line_end: Where the line of the previous result ended, in bytes of the file.
        """
        return FilePosition(self.end, self.beyond + 1) if item.end == line_end else FilePosition(line_end, 1)


class EventBatch(NamedTuple):
    """Events of one request, in the order of the file."""

    lines: tuple[int, ...]
    events: tuple[bytes, ...]
    """Each as JSON."""
    fields: RequestFields
    place: FilePosition
    """How far the file is done once they have arrived."""

    def body(self) -> bytes:
        """Return the body of the request."""
        said = {name: value for name, value in self.fields._asdict().items() if value}
        return b'{"data":[' + b",".join(self.events) + b"]" + (b"," + orjson.dumps(said)[1:-1] if said else b"") + b"}"

    def halves(self) -> tuple["EventBatch", "EventBatch"]:
        """Split the batch in two; both halves keep its ``place``, which is reached when both have arrived."""
        middle = len(self.events) // 2
        first = self._replace(lines=self.lines[:middle], events=self.events[:middle])
        return first, self._replace(lines=self.lines[middle:], events=self.events[middle:])


def remaining(items: Iterable[Ready | NotSent], progress: Progress) -> Iterator[tuple[Ready | NotSent, FilePosition]]:
    """Yield the results that no earlier run has done, each with the place that is reached when it is done.

    Args:
        items: All results of a file, in its order.
        progress: How far earlier runs came.
    """
    place, line_end = FilePosition(), 0
    for item in items:
        place, line_end = place.after(item, line_end), item.end
        if place > FilePosition(progress.end, progress.beyond):
            yield item, place


def batches(items: Iterable[tuple[Ready | NotSent, FilePosition]], fields: RequestFields) -> Iterator[EventBatch]:
    """Yield the events in batches; events whose request fields differ never share a batch.

    The place of the last batch is the end of the last line, as nothing is left of the file. It may have no events.

    Args:
        items: Results, each with the place that is reached when it is done.
        fields: Request fields of all events; a field that an event's own line sets comes first.
    """
    lines: list[int] = []
    events: list[bytes] = []
    shared, size = fields, 0
    reached: FilePosition | None = None
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
        yield EventBatch(tuple(lines), tuple(events), shared, FilePosition(end))


def _merged(own: RequestFields, general: RequestFields) -> RequestFields:
    return RequestFields(*(mine or other for mine, other in zip(own, general, strict=True)))
