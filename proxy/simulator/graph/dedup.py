"""Which copies of an event Meta would count: a model of its two ways to recognise a browser and a server copy.

From Meta's deduplicate-pixel-and-server-events and server-event pages:

* By id: same pixel, same name, same id. For 48 h from the first copy's receipt later ones are discarded; if both
  sides arrive within five minutes the browser's is the one kept.
* Without ids: a server copy is discarded if a browser copy of the same name with the same `fbp` or `external_id`
  came in the 48 h before; never the other way round, and never two copies of one side.
* Business-messaging events are not deduplicated at all.

The pages speak of pairs across the two sides. What they leave open is decided here so: two browser copies with one
id both count; two server copies with one id count once, and such a count is marked `unsure`; two different ids are
two actions, whatever else is equal.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from proxy.simulator.graph.tables import HASH

Source = Literal["browser", "server"]
MatchedBy = Literal["id", "fbp", "external_id"]
Verdict = Literal["pair", "recovered", "browser_only", "twice"]

WINDOW = 48 * 3600 * 1000
BROWSER_PREFERENCE_MS = 5 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Copy:
    """An event as one side delivered it.

    Attributes:
        received_at: Arrival, Unix milliseconds.
        source: Which side sent it.
        pixel: The pixel's id.
        name: The event's name.
        id: The event's id, which both sides should share.
        event: The Conversions API object as it came, or the Pixel's parameters as a flat dict.
        read: The event in the form that `reading.read` gives it; for a browser copy the same as `event`.
        request: The fields of a server's request besides its events, such as `test_event_code`.
    """

    received_at: int
    source: Source
    pixel: str
    name: str
    id: str | None
    event: dict[str, Any]
    read: dict[str, Any]
    request: Mapping[str, str] = field(default_factory=dict)

    @property
    def action_source(self) -> str | None:
        """Where the event happened according to its sender; None for a browser copy."""
        return self.read.get("action_source") if self.source == "server" else None


@dataclass(slots=True)
class Pair:
    """All copies of one event, and how Meta would count them."""

    copies: list[Copy]
    by: MatchedBy | None = None

    @property
    def id(self) -> str | None:
        """The first id that a copy carries."""
        return next((copy.id for copy in self.copies if copy.id), None)

    @property
    def event_time(self) -> int | None:
        """When it happened according to the server copy, Unix seconds."""
        return next((copy.read["event_time"] for copy in self.copies if copy.source == "server"), None)

    @property
    def counted(self) -> int:
        """How many times Meta would count it."""
        return counted(self.copies)

    @property
    def unsure(self) -> bool:
        """Whether the count assumes that one server copy is a duplicate of another, of which Meta says nothing."""
        return any(sum(copy.source == "server" for copy in window) > 1 for window in _windows(self.copies))

    @property
    def verdict(self) -> Verdict:
        """`twice` for more than one count, whatever the reason; else which sides were heard."""
        if self.counted > 1:
            return "twice"
        if not self.copy_count("browser"):
            return "recovered"
        return "pair" if self.copy_count("server") else "browser_only"

    def copy_count(self, source: Source) -> int:
        """Return how many copies one side delivered."""
        return sum(copy.source == source for copy in self.copies)


def counted(copies: Sequence[Copy]) -> int:
    """Return how many of the copies of one event, in order of receipt, Meta would count."""
    return sum(len(_counted(window)) for window in _windows(copies))


def pairs(copies: Iterable[Copy]) -> list[Pair]:
    """Return the events that the copies belong to, in order of first receipt.

    Args:
        copies: Everything accepted, oldest first.
    """
    matcher = _Matcher()
    for copy in copies:
        matcher.add(copy)
    return matcher.found


def match_values(copy: Copy) -> Iterator[tuple[MatchedBy, str]]:
    """Yield the values by which a copy without a shared id can still be recognised, comparable across both sides."""
    server = copy.source == "server"
    keys = (copy.read.get("user_data") or {}) if server else copy.event
    if keys.get("fbp"):
        yield "fbp", ".".join(str(keys["fbp"]).split(".")[:4])
    external = keys.get("external_id" if server else "ud[external_id]")
    for value in external if isinstance(external, list) else [external] if external else []:
        yield "external_id", _hashed(str(value))


def _hashed(value: str) -> str:
    # The Pixel hashes external_id, a server need not: only hashes compare.
    return value[:64] if HASH.fullmatch(value) else hashlib.sha256(value.encode()).hexdigest()


def _windows(copies: Sequence[Copy]) -> list[list[Copy]]:
    windows: list[list[Copy]] = []
    for copy in copies:
        if not windows or copy.received_at - windows[-1][0].received_at > WINDOW:
            windows.append([])
        windows[-1].append(copy)
    return windows


def _counted(window: Sequence[Copy]) -> list[Copy]:
    counts: list[Copy] = []
    for copy in window:
        counts = _with_next(counts, copy)
    return counts


def _with_next(counts: list[Copy], copy: Copy) -> list[Copy]:
    """Return which copies count once another one has come."""
    if all(earlier.source == copy.source == "browser" for earlier in counts):
        return [*counts, copy]
    preferred = copy.source == "browser" and copy.received_at - counts[0].received_at <= BROWSER_PREFERENCE_MS
    return [copy] if preferred else counts


def _messaging(copy: Copy) -> bool:
    return copy.action_source == "business_messaging"


_PairsByPerson = dict[tuple[str, str, MatchedBy, str], list[Pair]]


@dataclass(slots=True)
class _Matcher:
    """Sorts copies into pairs; browser copies with an id are kept apart from those without.

    A server copy with an id never matches a browser copy with another id, so it need not look at those with an id.
    """

    found: list[Pair] = field(default_factory=list)
    by_id: dict[tuple[str, str, str], Pair] = field(default_factory=dict)
    named: _PairsByPerson = field(default_factory=lambda: defaultdict(list))
    nameless: _PairsByPerson = field(default_factory=lambda: defaultdict(list))

    def add(self, copy: Copy) -> None:
        if _messaging(copy) or not (self._join_by_id(copy) or self._join_by_person(copy)):
            self._add_pair(copy)

    def _join_by_id(self, copy: Copy) -> bool:
        pair = self.by_id.get((copy.pixel, copy.name, copy.id)) if copy.id else None
        if pair is None:
            return False
        pair.by = "id" if any(earlier.source != copy.source for earlier in pair.copies) else pair.by
        pair.copies.append(copy)
        return True

    def _join_by_person(self, copy: Copy) -> bool:
        if copy.source == "browser":
            return False
        for by, value in match_values(copy):
            candidates = self._candidates((copy.pixel, copy.name, by, value), copy)
            if candidates:
                # A browser copy may be the partner of many, but one without a partner yet is the likelier.
                pair = min(candidates, key=lambda candidate: candidate.copy_count("server"))
                pair.copies.append(copy)
                pair.by = by
                return True
        return False

    def _candidates(self, key: tuple[str, str, MatchedBy, str], copy: Copy) -> list[Pair]:
        found = self.nameless[key] if copy.id else [*self.nameless[key], *self.named[key]]
        return [pair for pair in found if copy.received_at - pair.copies[0].received_at <= WINDOW]

    def _add_pair(self, copy: Copy) -> None:
        pair = Pair([copy])
        self.found.append(pair)
        if copy.id and not _messaging(copy):
            self.by_id[copy.pixel, copy.name, copy.id] = pair
        if copy.source == "browser":
            people = self.named if copy.id else self.nameless
            for by, value in match_values(copy):
                people[copy.pixel, copy.name, by, value].append(pair)
