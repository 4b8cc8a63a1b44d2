"""Access keys: which site a key belongs to, and how clients with wrong keys are refused."""

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable

from proxy.config.schema import Site
from proxy.edge.server.answers import WRONG_KEY, GraphRefusal, RefusedError, throttled
from proxy.rules.fairness import Buckets, ClientNetwork

_PER_SECOND, _BURST = 0.5, 20.0
"""How many wrong keys of one address are answered as wrong; further ones are throttled."""
_BYTES_PER_SECOND, _BYTES_BURST = 512.0 * 1024, 32.0 * 1024 * 1024
"""How many bytes of one address's bodies may be searched in vain for a key: the worst 16 MiB take a tenth of a second.
"""


class KeyRing:
    """All access keys of all sites."""

    def __init__(self, sites: Iterable[Site]) -> None:
        listed = [(key.get_secret_value(), site) for site in sites for key in site.access_keys]
        self._keys = [(_digest(key), site) for key, site in listed if key]

    def site_of(self, key: str) -> Site | None:
        """Return the site that a key belongs to, or None; the time that this takes reveals nothing of any key."""
        found, asked = None, _digest(key)
        for digest, site in self._keys:
            if hmac.compare_digest(digest, asked):
                found = site
        return found


class WrongKeys:
    """Refuses wrong keys: the first ones of an address as wrong, too many as throttled. Right keys never come here.

    The limits protect the logs and the processor time of the proxy, not the keys, which cannot be guessed.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with no clients; ``clock`` is monotonic, in seconds."""
        self._clock = clock
        self._buckets = Buckets(_PER_SECOND, _BURST)
        self._searched = Buckets(_BYTES_PER_SECOND, _BYTES_BURST)

    def refusal(self, network: ClientNetwork) -> GraphRefusal:
        """Return the refusal of a client that sent a wrong key."""
        wait = self._buckets.take(network, self._clock())
        if wait:
            return throttled("Too many wrong access tokens of one address; try again later", math.ceil(wait))
        return WRONG_KEY

    def check_searched(self, network: ClientNetwork) -> None:
        """Check whether one more body of a client may be searched for a key.

        Raises:
            RefusedError: when too many bytes of the client were searched in vain.
        """
        wait = self._searched.take(network, self._clock(), 0.0)
        if wait:
            raise RefusedError(
                throttled("Too many bodies without a right access token; try again later", math.ceil(wait))
            )

    def charge_search(self, network: ClientNetwork, size: int) -> None:
        """Charge a client for a body without a right key; ``size`` is the number of unpacked bytes."""
        self._searched.charge(network, self._clock(), size)


def _digest(key: str) -> bytes:
    """Return a digest of a key, so that comparing keys of any length takes the same time."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()
