"""A fake Graph that accounts for each line of a file of past events in a few bytes, however many there are."""

import asyncio
import re
from array import array
from dataclasses import dataclass, field

from fakegraph import FakeGraph
from past_events import lines_of

_EVENT = re.compile(rb'"event_id":"([^"]+)".*?"receipt":"r-(\d+)"')


@dataclass(slots=True)
class Tally:
    """An account of which lines of a file have arrived, and how often."""

    lines: int
    life: int = 1
    """The number of the proxy's run; the bench adds 1 when it kills the proxy."""
    arrived: int = 0
    """Lines that arrived at least once."""
    other_ids: int = 0
    """Arrivals of a line that had already arrived, under an id that it had not had before."""
    again: int = 0
    """Repeated arrivals, under the same id, of a line that the same run of the proxy had delivered already."""
    again_after_kill: int = 0
    """Repeated arrivals, under the same id, of a line that an earlier run had delivered; Meta counts these once."""
    _ids: "array[int]" = field(init=False)
    """For each line a hash of the id under which it arrived; 0 stands for a line that has not arrived."""
    _lives: "array[int]" = field(init=False)

    def __post_init__(self) -> None:
        """Make room for all lines."""
        self._ids = array("q", bytes(8 * self.lines))
        self._lives = array("B", bytes(self.lines))

    def add(self, identity: bytes, place: int) -> None:
        """Count an arrival.

        Args:
            identity: The event's id.
            place: The number of the first line with this content.
        """
        key = hash(identity) or 1
        for line in lines_of(place, self.lines):
            if self._ids[line] == key:
                self._add_again(line)
                return
            if not self._ids[line]:
                self._ids[line], self._lives[line] = key, self.life
                self.arrived += 1
                return
        self.other_ids += 1

    def _add_again(self, line: int) -> None:
        if self._lives[line] == self.life:
            self.again += 1
        else:
            self.again_after_kill += 1
        self._lives[line] = self.life


@dataclass(slots=True)
class CountingGraph(FakeGraph):
    """A Graph that accepts every event, and counts the lines that the events came from."""

    tally: Tally = field(default_factory=lambda: Tally(0))
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with every request for events."""

    def take(self, pixel: str, body: bytes) -> bytes | None:
        """Count the events of a body and return the answer.

        Raises:
            ValueError: When an event has no ``receipt``, which says its line, so that it cannot be counted.
        """
        found = _EVENT.findall(body)
        if len(found) != body.count(b'"event_name"'):
            raise ValueError(f"events without their receipt: {body[:1000]!r}")
        for identity, place in found:
            self.tally.add(identity, int(place))
        self.came.set()
        # The class is named because slots make a new class, which super() without arguments does not find.
        return FakeGraph.take(self, pixel, body)
