"""Finds out whether a pixel is at fault rather than its events: then its lane pauses, and no event is given up."""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.delivery.attempt import Attempt, Send, attempt
from proxy.delivery.refused_networks import RefusedNetworks
from proxy.graph.verdict import is_content_subcode
from proxy.model.record import Record
from proxy.model.server_request import NO_FIELDS, RequestFields
from proxy.model.verdict import Dead, Delivered, Pause, Split, Verdict

SYSTEMIC = "systemic"
"""The reason of a pause because of a pixel that is at fault."""
# When so many events were refused alone with the same code and none was delivered, the pixel is at fault.
_LEAST_REFUSED = 8
# After so many refused requests in a row with the same code, a diagnosis is made.
_MOST_ALIKE = 4
# The request fields whose values Graph looks up, unlike test codes and agent names, which may have any value.
_OF_UPLOADS = slice(RequestFields._fields.index("upload_tag"), None)


@dataclass(slots=True)
class RefusalStreak:
    """Counts requests in a row that Graph refused with the same code, one that does not concern an event's content."""

    code: tuple[int | None, int | None] | None = None
    count: int = 0

    def add(self, verdict: Verdict) -> None:
        """Take the next answer into account."""
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
    def calls_for_diagnosis(self) -> bool:
        """Whether the pixel may be at fault, not its events."""
        return self.count >= _MOST_ALIKE


async def diagnose(records: Sequence[Record], send: Send, *, least: int = _LEAST_REFUSED) -> Attempt:
    """Find out whether the pixel is at fault: then no event is given up, and the attempt ends with a pause.

    Up to 16 events are sent alone, until one is delivered or fails in another way. They are spread over all records,
    since neighbours may be bad for the same reason; to send all of them alone could take a thousand requests.

    Args:
        records: Events of one pixel.
        send: Sends a batch.
        least: How many events must fail alike for the pixel to be at fault.
    """
    result = Attempt()
    singles = _spread(records)
    chosen = {id(record) for record in singles}
    result.undecided += [record for record in records if id(record) not in chosen]
    for record in singles:
        if result.halt or result.delivered or not _are_alike(result.dead):
            result.undecided.append(record)
        else:
            result.decide([record], await send([record]), RefusedNetworks())
    at_fault = len(result.dead) >= least and _are_alike(result.dead) and not result.delivered
    at_fault = at_fault and not _share_an_upload(result.dead)
    if result.halt or at_fault:
        result.halt = result.halt or Pause(SYSTEMIC, result.dead[0][1].graph_error)
        result.undecided += [record for record, _ in result.dead]
        result.dead = []
    return result


async def probe(records: Sequence[Record], send: Send, networks: RefusedNetworks) -> Attempt:
    """Try whether a pixel that refused every event alike takes one again; while it does not, no event is given up.

    Args:
        records: A few events of one pixel.
        send: Sends a batch.
        networks: Say which events of a refused batch are suspected first.
    """
    result = await attempt(records, send, networks)
    return result if result.delivered or result.halt or not records else await diagnose(records, send, least=1)


def _are_alike(dead: list[tuple[Record, Dead]]) -> bool:
    codes = {(verdict.graph_error.code, verdict.graph_error.subcode) for _, verdict in dead}
    return not dead or (len(codes) == 1 and not is_content_subcode(dead[0][1].graph_error.subcode))


def _share_an_upload(dead: list[tuple[Record, Dead]]) -> bool:
    """Tell whether all these records were sent with the same request fields, among them an upload or a name space.

    Then Graph may have refused these fields, and the events of browsers, which have none, must not wait for them.
    """
    first = dead[0][0].fields
    return first[_OF_UPLOADS] != NO_FIELDS[_OF_UPLOADS] and all(record.fields == first for record, _ in dead)


def _spread(records: Sequence[Record]) -> Sequence[Record]:
    return records[:: max(1, len(records) // (2 * _LEAST_REFUSED))][: 2 * _LEAST_REFUSED]
