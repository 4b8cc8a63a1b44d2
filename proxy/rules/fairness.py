"""How much of the proxy one client may take: a rate, and a fair share of the requests in progress when room is scarce.

Plain arithmetic with the clock as an argument. A client is identified by its network: an IPv4 address, or the /64 of an
IPv6 address, which is the least that one line gets (RFC 6177) and has more addresses than any table could hold.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from proxy.rules.request.ip_numbers import ip_number

ClientNetwork: TypeAlias = str | int

_MOST_NETWORKS = 65_536
_PLENTY = 0.5
_LEAST_SCARCE = 0.001


def client_network(address: str) -> ClientNetwork:
    """Return the network that identifies a client; a text that is no address is returned as it is."""
    if ":" not in address:
        return address
    found = ip_number(address.partition("%")[0])
    if found is None:
        return address
    return found.number >> 64 if found.version == 6 else found.text


def price(fullness: float) -> float:
    """Return how many requests one request counts as, by how full the queue is (0 to 1).

    Above one half, the price is inverse to the square of the room left, so that a client at its limit takes ever
    smaller parts of the queue: after a day without any delivery there is still room for the others.
    """
    return float((_PLENTY / max(1 - max(fullness, _PLENTY), _LEAST_SCARCE)) ** 2)


class Buckets:
    """A token bucket for each network, as one number: the moment its bucket is full again (GCRA, ITU-T I.371).

    The table is bounded; the network that was longest silent is forgotten first.
    """

    def __init__(self, per_second: float, burst: float, *, most: int = _MOST_NETWORKS) -> None:
        self._interval = 1 / per_second
        self._depth = burst / per_second
        self._burst = burst
        self._most = most
        self._full_at: OrderedDict[ClientNetwork, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, network: ClientNetwork, now: float, cost: float = 1.0) -> float:
        """Take tokens and return 0, or take none and return in how many seconds there will be enough.

        Args:
            network: The client's network.
            now: Seconds, of a clock that only goes forward.
            cost: Tokens.
        """
        full_at = self._full_at.get(network, 0.0)
        later = max(full_at, now) + min(cost, self._burst) * self._interval
        wait = later - now - self._depth
        if wait > 0:
            return wait
        self._remember(network, later)
        return 0.0

    def charge(self, network: ClientNetwork, now: float, cost: float) -> None:
        """Take tokens whether they are there or not; later requests wait for them.

        Args:
            network: The client's network.
            now: Seconds, of a clock that only goes forward.
            cost: Tokens.
        """
        self._remember(network, max(self._full_at.get(network, 0.0), now) + cost * self._interval)

    def _remember(self, network: ClientNetwork, full_at: float) -> None:
        self._full_at[network] = full_at
        self._full_at.move_to_end(network)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)


class Judgement(Enum):
    """Whether a request may come in."""

    WELCOME = "welcome"
    OVER_SHARE = "over_share"
    """Its network holds more than its share while little is left for others."""
    FULL = "full"


@dataclass(slots=True)
class _Load:
    requests: int = 0
    size: int = 0


class Shares:
    """Requests under way and the bytes of their bodies, in all and by network.

    Up to half of each bound every request may come in. Beyond that, a network may hold no more than half of the bound
    divided by the number of networks that hold something. So a network that holds nothing yet always gets in, until the
    bound itself is reached.
    """

    def __init__(self, most_requests: int, most_bytes: int) -> None:
        self._most = _Load(most_requests, most_bytes)
        self._total = _Load()
        self._loads: dict[ClientNetwork, _Load] = {}

    def judge(self, network: ClientNetwork, size: int) -> Judgement:
        """Return whether a request with a body of ``size`` bytes may come in; only ``enter`` counts it."""
        total, most = self._total, self._most
        requests, size_then = total.requests + 1, total.size + size
        if requests * 2 <= most.requests and size_then * 2 <= most.size:
            return Judgement.WELCOME
        if requests > most.requests or size_then > most.size:
            return Judgement.FULL
        mine = self._loads.get(network)
        networks = len(self._loads) + (mine is None)
        return Judgement.OVER_SHARE if mine and self._over(mine, size, networks) else Judgement.WELCOME

    def _over(self, mine: _Load, size: int, networks: int) -> bool:
        requests, share = mine.requests + 1, 2 * networks
        return requests * share > self._most.requests or (mine.size + size) * share > self._most.size

    def enter(self, network: ClientNetwork, size: int) -> None:
        """Count a request in."""
        mine = self._loads.get(network)
        if mine is None:
            mine = self._loads[network] = _Load()
        mine.requests += 1
        mine.size += size
        self._total.requests += 1
        self._total.size += size

    def leave(self, network: ClientNetwork, size: int) -> None:
        """Count a request out that came in with this size."""
        mine = self._loads[network]
        mine.requests -= 1
        mine.size -= size
        self._total.requests -= 1
        self._total.size -= size
        if not mine.requests:
            del self._loads[network]
