"""Who is logged in: random tokens that browsers keep in a cookie, of which this process remembers digests alone.

A restart ends all sessions, and so does a new password, which takes effect by a restart.
"""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable

SESSION_S = 12 * 60 * 60
_TOKEN_BYTES = 32
_MOST = 64


class Sessions:
    """The sessions of this process; beyond 64 the oldest ends."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with none; the clock counts seconds and is never set."""
        self._clock = clock
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def open(self) -> str:
        """Begin a session; return its token, which nobody had before."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._ends[_digest(token)] = self._clock() + SESSION_S
        while len(self._ends) > _MOST:
            self._ends.popitem(last=False)
        return token

    def seconds_left(self, token: str) -> float:
        """Return how long a session goes on; 0 where there is none, or it is over."""
        digest = _digest(token)
        left = self._ends.get(digest, 0.0) - self._clock()
        if left <= 0:
            self._ends.pop(digest, None)
        return max(left, 0.0)

    def end(self, token: str) -> None:
        """End a session; one that is none changes nothing."""
        self._ends.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
