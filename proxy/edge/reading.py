"""From a request that was let in to what the rules judge: its body is read, and its client's turn awaited."""

from collections.abc import Callable
from typing import NamedTuple

from proxy.config.schema import Site
from proxy.edge.arrival import Arrival
from proxy.edge.exchange import BodyTooLargeError
from proxy.edge.turns import Turns
from proxy.model.request import BrowserRequest
from proxy.rules.fairness import ClientNetwork
from proxy.rules.limits import BODY


class AdmittedRequest(NamedTuple):
    """A request that was let in at one door of one site."""

    arrival: Arrival
    site: Site
    network: ClientNetwork
    """Whose turn it is."""
    is_ours: bool
    """The page that asks is one of the site."""


class RequestReader:
    """Reads requests, each client's in turn."""

    def __init__(self, turns: Turns, *, clock_ns: Callable[[], int], random_bits: Callable[[int], int]) -> None:
        """Read requests.

        Args:
            turns: Whose request is next.
            clock_ns: The server's clock in nanoseconds.
            random_bits: So many random bits, others each time, that nobody can guess.
        """
        self._turns = turns
        self._clock_ns = clock_ns
        self._random_bits = random_bits

    async def read(self, admitted: AdmittedRequest) -> BrowserRequest:
        """Read the body, wait for the client's turn, then return what the rules judge.

        Raises:
            BodyTooLargeError: when the body is longer than accepted.
            BodyTooSlowError: when it comes too slowly.
            BodyLostError: when it will not come.
        """
        arrival = admitted.arrival
        if arrival.request.size > BODY:
            raise BodyTooLargeError
        body = await arrival.request.body()
        await self._turns.mine(admitted.network)
        now, entropy = self._clock_ns() // 1_000_000, self._random_bits(128)
        return arrival.browser_request(body, now=now, entropy=entropy)
