"""The networks of events that Graph refused alone, and which events of a refused batch are suspected first."""

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from proxy.delivery import pace
from proxy.model.record import Record

_MOST_NETWORKS = 1000
_MOST_TOGETHER = 8
_ADDRESS = re.compile(rb'"client_ip_address":"([^"\\]+)"')


class RefusedNetworks:
    """The networks of the visitors whose events Graph refused alone: the latest thousand.

    While a stranger keeps sending bad events, honest events in the same batches would be searched again and again. So
    events from such networks are suspected first: the rest of a refused batch is sent with the next request, and does
    not wait for the search among the stranger's events.
    """

    def __init__(self) -> None:
        self._networks: dict[str, None] = {}

    def add(self, record: Record) -> None:
        """Remember the network of an event that was refused alone."""
        if (network := _network(record)) is None:
            return
        self._networks.pop(network, None)
        self._networks[network] = None
        if len(self._networks) > _MOST_NETWORKS:
            del self._networks[next(iter(self._networks))]

    def bounds(self, records: Sequence[Record]) -> list[tuple[Record, int]]:
        """Return how many others each record of a refused batch may be sent with next (``Segment.suspect``).

        Usually that is half of the batch. Where some records come from refused networks, all others are sent together
        once more, and those from refused networks follow them, a few at a time.
        """
        refused = {id(record) for record in records if _network(record) in self._networks} if self._networks else set()
        honest = len(records) - len(refused)
        last = -min(_MOST_TOGETHER, _half(len(refused)))
        first = pace.next_power_of_two(honest) if refused else _half(honest)
        return [(record, last if id(record) in refused else first) for record in records]


def _half(events: int) -> int:
    return pace.next_power_of_two((events + 1) // 2)


def _network(record: Record) -> str | None:
    """Return the visitor's network (the address, or its /64 for IPv6); without a public address, ``record.visitor``.

    None for a server's event without an address: such events need have nothing else in common.
    """
    found = _ADDRESS.search(record.shared or record.payload)
    if found is None:
        return record.visitor.hex() if record.browser_copy else None
    try:
        address = ip_address(found[1].decode())
    except ValueError:
        return record.visitor.hex()
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False))
