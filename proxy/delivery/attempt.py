"""One attempt: a batch goes out once, and what its answer decides is settled at once.

Graph refuses a whole batch for one bad event (Meta, using the API), and its texts do not say which. So the events of a
refused batch become suspects, and ride in ever smaller batches until the bad one is alone: about 2·log₂ n requests for
each bad event among n. What is decided on the way is settled on the way.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TypeAlias, assert_never

from proxy.delivery import pace
from proxy.graph.verdict import is_content_subcode
from proxy.model.record import Record
from proxy.model.verdict import Dead, Delivered, Pause, Retry, Split, Verdict

Send: TypeAlias = Callable[[Sequence[Record]], Awaitable[Verdict]]

# So many events refused alone, with one same code and none delivered, and the pixel is at fault, not the events.
_SYSTEMIC = 8
# So many refused requests in a row with one same code, and it is time to find out.
_DOUBTS = 4
_MOST_SOURCES = 1000
_MOST_THEIRS = 8
_ADDRESS = re.compile(rb'"client_ip_address":"([^"\\]+)"')


@dataclass(slots=True)
class Attempt:
    """What an attempt came to."""

    delivered: list[tuple[Record, Delivered]] = field(default_factory=list)
    dead: list[tuple[Record, Dead]] = field(default_factory=list)
    suspects: list[tuple[Record, int]] = field(default_factory=list)
    """What was refused together, and its ``Segment.suspect`` from now on."""
    left: list[Record] = field(default_factory=list)
    """What is as undecided as before."""
    halt: Pause | Retry | None = None


class Offenders:
    """Where events came from that Graph refused alone: the visitors' networks, the latest thousand.

    A stranger who sends bad events without end would have honest events searched with them again and again. So events
    from the same networks are suspected first: the rest of a refused batch leaves with the next request, and nothing
    waits for the search among what is theirs.
    """

    def __init__(self) -> None:
        self._sources: dict[str, None] = {}

    def add(self, record: Record) -> None:
        """Remember where an event came from that was refused alone."""
        self._sources.pop(source := _source(record), None)
        self._sources[source] = None
        if len(self._sources) > _MOST_SOURCES:
            del self._sources[next(iter(self._sources))]

    def bounds(self, records: Sequence[Record]) -> list[tuple[Record, int]]:
        """Say how suspect the records of a refused batch are: half of it may ride together from now on.

        With offenders among them the others ride together once more, and a few of the offenders after all others.
        """
        theirs = {id(record) for record in records if _source(record) in self._sources} if self._sources else set()
        few = -min(_MOST_THEIRS, _half(len(theirs)))
        others = len(records) - len(theirs)
        rest = pace.bound(others) if theirs else _half(others)
        return [(record, few if id(record) in theirs else rest) for record in records]


def _half(events: int) -> int:
    return pace.bound((events + 1) // 2)


def _source(record: Record) -> str:
    """Return the visitor's network, /64 for IPv6; without a public address what else tells visitors apart."""
    found = _ADDRESS.search(record.shared or record.payload)
    if found is None:
        return record.visitor.hex()
    try:
        address = ip_address(found[1].decode())
    except ValueError:
        return record.visitor.hex()
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False))


@dataclass(slots=True)
class Doubt:
    """Requests in a row that Graph refused with one same code that speaks of no event's content."""

    code: tuple[int | None, int | None] | None = None
    count: int = 0

    def note(self, verdict: Verdict) -> None:
        """Take an answer into account."""
        match verdict:
            case Split(graph_error) | Dead(_, graph_error) if not is_content_subcode(graph_error.subcode):
                code = (graph_error.code, graph_error.subcode)
                self.count = self.count + 1 if code == self.code else 1
                self.code = code
            case Split() | Dead() | Delivered():
                self.code, self.count = None, 0
            case _:
                pass

    @property
    def grave(self) -> bool:
        """Whether the pixel may be at fault, not its events."""
        return self.count >= _DOUBTS


async def attempt(records: Sequence[Record], send: Send, offenders: Offenders) -> Attempt:
    """Send a batch, and say what its answer decides."""
    result = Attempt()
    if records:
        _decide(result, records, await send(records), offenders)
    return result


def _decide(result: Attempt, records: Sequence[Record], verdict: Verdict, offenders: Offenders) -> None:
    match verdict:
        case Delivered():
            result.delivered += [(record, verdict) for record in records]
        case Split():
            result.suspects += offenders.bounds(records)
        case Dead():
            result.dead += [(record, verdict) for record in records]
        case Pause() | Retry():
            result.left += records
            result.halt = verdict
        case _:
            assert_never(verdict)


async def trial(records: Sequence[Record], send: Send, *, least: int = _SYSTEMIC) -> Attempt:
    """Find out whether the pixel is at fault: then nothing is buried, and the attempt ends with a pause.

    Up to 16 events are tried alone, spread over all, until one is delivered or fails otherwise: bad neighbours prove
    nothing, and a thousand single requests would be no way to find out.

    Args:
        records: Events of one pixel.
        send: Sends a batch.
        least: How many events must fail alike for the pixel to be at fault.
    """
    result = Attempt()
    singles = _spread(records)
    chosen = {id(record) for record in singles}
    result.left += [record for record in records if id(record) not in chosen]
    for record in singles:
        if result.halt or result.delivered or not _alike(result.dead):
            result.left.append(record)
        else:
            _decide(result, [record], await send([record]), Offenders())
    at_fault = len(result.dead) >= least and _alike(result.dead) and not result.delivered
    if result.halt or at_fault:
        result.halt = result.halt or Pause("systemic", result.dead[0][1].graph_error)
        result.left += [record for record, _ in result.dead]
        result.dead = []
    return result


async def probe(records: Sequence[Record], send: Send, offenders: Offenders) -> Attempt:
    """Ask whether a pixel that refused every event alike takes one again; until then nothing is buried."""
    result = await attempt(records, send, offenders)
    return result if result.delivered or result.halt or not records else await trial(records, send, least=1)


def _alike(dead: list[tuple[Record, Dead]]) -> bool:
    codes = {(verdict.graph_error.code, verdict.graph_error.subcode) for _, verdict in dead}
    return not dead or (len(codes) == 1 and not is_content_subcode(dead[0][1].graph_error.subcode))


def _spread(records: Sequence[Record]) -> Sequence[Record]:
    return records[:: max(1, len(records) // (2 * _SYSTEMIC))][: 2 * _SYSTEMIC]
