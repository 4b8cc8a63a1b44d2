"""Who is shown the overlay of the install check: a browser that opened a link of the owner's, for half an hour.

Link, cookie and the address that ends it are texts under a key of the installation's secret, so nothing is stored and
every process of a proxy knows them. A text says what it is for, until when, and for which site and page; it says
nothing about anybody. Whatever does not open counts as nothing: nobody is told.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.model.keys import derive

OPEN_MS: Final = 10 * 60_000
"""How long a link can be opened, in milliseconds."""
SHOWN_MS: Final = 30 * 60_000
"""How long the overlay is shown in a browser that opened it."""
_MAC = 16
_TIME = 6
# Of a link: the longest page that may be looked at, in base64.
_MOST = 2000


class CheckedPage(NamedTuple):
    """What a link of the owner's leads to."""

    site: str
    """The name of the site."""
    page: str


class InstallChecks:
    """Signs what shows the overlay, and knows it again."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Take the secrets of the installation, the current one first; older ones still open what they signed."""
        self._keys = [derive(secret, "install-check") for secret in secrets]
        # A name of its own for each installation, so that no list knows it.
        name = derive(secrets[0], "install-check-cookie", length=5)
        self.cookie_name = "_" + base64.b32encode(name).decode().lower()

    def link(self, page: CheckedPage, now: int) -> str:
        """Return what a link to a page ends with; ``now`` is the server clock in milliseconds."""
        return self._signed(b"o", now + OPEN_MS, "\n".join(page))

    def opened(self, text: str, now: int) -> CheckedPage | None:
        """Return what a link leads to; None when it is none of ours, or is over."""
        found = self._read(b"o", text, now)
        return CheckedPage(*found[1].split("\n", 1)) if found else None

    def cookie(self, site: str, now: int) -> str:
        """Return the value of the cookie by which a browser is known."""
        return self._signed(b"c", now + SHOWN_MS, site)

    def shown_ms(self, cookies: str, site: str, now: int) -> int:
        """Return for how many milliseconds yet the overlay is shown to whoever sends these cookies; 0: not at all.

        Args:
            cookies: The header as it came.
            site: The name of the site whose tag is asked for.
            now: Server clock in milliseconds.
        """
        if self.cookie_name not in cookies:
            return 0
        for cookie in cookies.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == self.cookie_name and (found := self._read(b"c", value, now)) and found[1] == site:
                return found[0] - now
        return 0

    def end(self, site: str, until: int) -> str:
        """Return what the address ends with that ends a check; ``until`` is when that is over anyway."""
        return self._signed(b"e", until, site)

    def ended(self, text: str, now: int) -> str:
        """Return the name of the site whose check such an address ends; empty when it is none of ours."""
        found = self._read(b"e", text, now)
        return found[1] if found else ""

    def _signed(self, purpose: bytes, until: int, words: str) -> str:
        said = purpose + until.to_bytes(_TIME, "big") + words.encode()
        return base64.urlsafe_b64encode(_mac(self._keys[0], said) + said).decode().rstrip("=")

    def _read(self, purpose: bytes, text: str, now: int) -> tuple[int, str] | None:
        """Return until when a text counts, and its words."""
        if not text.isascii() or len(text) > _MOST:
            return None
        try:
            signed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        mac, said = signed[:_MAC], signed[_MAC:]
        if not any(hmac.compare_digest(mac, _mac(key, said)) for key in self._keys) or said[:1] != purpose:
            return None
        until = int.from_bytes(said[1 : 1 + _TIME], "big")
        return (until, said[1 + _TIME :].decode()) if now < until else None


def _mac(key: bytes, said: bytes) -> bytes:
    return hmac.digest(key, said, "sha256")[:_MAC]
