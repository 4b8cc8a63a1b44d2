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
    """What arrived of a file, by line."""

    lines: int
    life: int = 1
    """Of the proxy; whoever kills it counts it up."""
    arrived: int = 0
    """Lines that arrived at least once."""
    other_ids: int = 0
    """Arrivals of a line that had come already under another id."""
    again: int = 0
    """Arrivals of a line that the same life of the proxy had delivered already."""
    again_after_kill: int = 0
    """Arrivals of a line that an earlier life had delivered, under the same id; Meta counts them once."""
    _ids: "array[int]" = field(init=False)
    """A hash of the id of each line; 0 stands for a line that has not come."""
    _lives: "array[int]" = field(init=False)

    def __post_init__(self) -> None:
        """Make room for all lines."""
        self._ids = array("q", bytes(8 * self.lines))
        self._lives = array("B", bytes(self.lines))

    def add(self, identity: bytes, place: int) -> None:
        """Count an arrival.

        Args:
            identity: The event's id.
            place: The first line that has this content.
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
    """Takes everything, and accounts for it."""

    tally: Tally = field(default_factory=lambda: Tally(0))
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with every request for events."""

    def take(self, pixel: str, body: bytes) -> bytes | None:
        """Count a body and return the answer.

        Raises:
            ValueError: When an event has lost its mark on the way, so that nothing can be accounted for.
        """
        found = _EVENT.findall(body)
        if len(found) != body.count(b'"event_name"'):
            raise ValueError(f"events without their receipt: {body[:1000]!r}")
        for identity, place in found:
            self.tally.add(identity, int(place))
        self.came.set()
        # What is named explicitly: slots make a new class, which super() without arguments does not know.
        return FakeGraph.take(self, pixel, body)
