"""Who is logged in: random tokens that browsers keep in a cookie, of which this process remembers digests alone.

A restart ends all sessions, and so does a new password, which takes effect by a restart. The cookie has a name of its
own for each process, since browsers keep no cookies apart by port: another proxy on this host would replace it.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping

SESSION_S = 12 * 60 * 60
_TOKEN_BYTES, _NAME_BYTES = 32, 4
_MOST = 64


class Sessions:
    """The sessions of this process; beyond 64 the oldest ends."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin without sessions; ``clock`` is a monotonic clock in seconds."""
        self._clock = clock
        self.cookie = f"capi-proxy-session-{secrets.token_hex(_NAME_BYTES)}"
        """The name of the cookie."""
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def token_in(self, cookies: Mapping[str, str]) -> str:
        """Return the token among the cookies of a request; empty where there is none."""
        return cookies.get(self.cookie, "")

    def open(self) -> str:
        """Begin a session; return its token, which is new and random."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._ends[_digest(token)] = self._clock() + SESSION_S
        while len(self._ends) > _MOST:
            self._ends.popitem(last=False)
        return token

    def seconds_left(self, token: str) -> float:
        """Return how many seconds a session still lasts; 0 if there is none, or it is over."""
        digest = _digest(token)
        left = self._ends.get(digest, 0.0) - self._clock()
        if left <= 0:
            self._ends.pop(digest, None)
        return max(left, 0.0)

    def end(self, token: str) -> None:
        """End a session; a token without a session changes nothing."""
        self._ends.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
