"""Access keys: which site a key opens, and what is said to somebody who tries wrong ones."""

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable

from proxy.config.schema import Site
from proxy.edge.server.answers import WRONG_KEY, GraphRefusal, RefusedError, throttled
from proxy.rules.fairness import Buckets, ClientNetwork

_PER_SECOND, _BURST = 0.5, 20.0
"""Wrong keys of one address that are answered as such."""
_BYTES_PER_SECOND, _BYTES_BURST = 512.0 * 1024, 32.0 * 1024 * 1024
"""Bytes of one address's bodies that are searched for a key in vain: 16 MiB of the worst take a tenth of a second."""


class KeyRing:
    """All keys of all sites; a site without one is opened by none."""

    def __init__(self, sites: Iterable[Site]) -> None:
        listed = [(key.get_secret_value(), site) for site in sites for key in site.access_keys]
        self._keys = [(_digest(key), site) for key, site in listed if key]

    def site_of(self, key: str) -> Site | None:
        """Return the site that a key opens; how long it takes says nothing of any key."""
        found, asked = None, _digest(key)
        for digest, site in self._keys:
            if hmac.compare_digest(digest, asked):
                found = site
        return found


class WrongKeys:
    """Refuses wrong keys, ever fewer of one address with the plain word that they are wrong; right ones never meet it.

    It protects the logs and the time of the proxy, not the keys, which nobody guesses.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with nobody; the clock's seconds only go forward."""
        self._clock = clock
        self._buckets = Buckets(_PER_SECOND, _BURST)
        self._searched = Buckets(_BYTES_PER_SECOND, _BYTES_BURST)

    def refusal(self, network: ClientNetwork) -> GraphRefusal:
        """Return what is said to a client that gave a wrong key."""
        wait = self._buckets.take(network, self._clock())
        if wait:
            return throttled("Too many wrong access tokens of one address; try again later", math.ceil(wait))
        return WRONG_KEY

    def check_searched(self, network: ClientNetwork) -> None:
        """Refuse to search one more body of a client for a key.

        Raises:
            RefusedError: when too many bytes were searched in vain.
        """
        wait = self._searched.take(network, self._clock(), 0.0)
        if wait:
            raise RefusedError(
                throttled("Too many bodies without a right access token; try again later", math.ceil(wait))
            )

    def searched(self, network: ClientNetwork, size: int) -> None:
        """Take note of a body that held no right key; its size is that of the unpacked one."""
        self._searched.owe(network, self._clock(), size)


def _digest(key: str) -> bytes:
    """Return a digest, so that keys of any length are compared alike."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()
