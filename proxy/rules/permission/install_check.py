"""Who is shown the overlay of the install check: a browser that opened a link of the owner's, for half an hour.

Link, cookie and the address that ends a check are texts signed with a key of the installation's secret, so nothing is
stored, and every process of a proxy can verify them. A text says what it is for, until when, and for which site and
page; it says nothing about a person. A text that is not valid is ignored, without an error.
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
# The most characters of a signed text: a link with the longest address of a page.
_MOST = 2000


class CheckedPage(NamedTuple):
    """The page that a link of the owner leads to."""

    site: str
    """The name of the site."""
    page: str


class InstallChecks:
    """Signs the texts that show the overlay, and verifies them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Take the secrets of the installation, the current one first; older ones still open what they signed."""
        self._keys = [derive(secret, "install-check") for secret in secrets]
        # Each installation has another name, so that no block list knows it.
        name = derive(secrets[0], "install-check-cookie", length=5)
        self.cookie_name = "_" + base64.b32encode(name).decode().lower()

    def link(self, page: CheckedPage, now: int) -> str:
        """Return the last part of a link to a page; ``now`` is the server clock in milliseconds."""
        return self._signed(b"o", now + OPEN_MS, "\n".join(page))

    def verify_link(self, text: str, now: int) -> CheckedPage | None:
        """Return the page that a link leads to; None if the link is not ours, or has expired."""
        found = self._read(b"o", text, now)
        return CheckedPage(*found[1].split("\n", 1)) if found else None

    def cookie(self, site: str, now: int) -> str:
        """Return the value of the cookie that marks a browser in which the overlay is shown."""
        return self._signed(b"c", now + SHOWN_MS, site)

    def shown_ms(self, cookies: str, site: str, now: int) -> int:
        """Return for how many more milliseconds a browser with these cookies is shown the overlay; 0: not at all.

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

    def sign_end(self, site: str, until: int) -> str:
        """Return the last part of the address that ends a check; ``until`` is when the check expires anyway."""
        return self._signed(b"e", until, site)

    def verify_end(self, text: str, now: int) -> str:
        """Return the name of the site whose check such an address ends; empty if it is not ours, or has expired."""
        found = self._read(b"e", text, now)
        return found[1] if found else ""

    def _signed(self, purpose: bytes, until: int, words: str) -> str:
        said = purpose + until.to_bytes(_TIME, "big") + words.encode()
        return base64.urlsafe_b64encode(_mac(self._keys[0], said) + said).decode().rstrip("=")

    def _read(self, purpose: bytes, text: str, now: int) -> tuple[int, str] | None:
        """Return until when a signed text is valid, and what it says; None if it is not valid."""
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
