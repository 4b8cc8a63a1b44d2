"""The one form in which host names are compared: lower-case ASCII, as browsers write them.

Browsers turn a name in other letters into ASCII by UTS #46 without the transitional mapping (WHATWG, URL, domain to
ASCII), so ``straße.de`` and ``strasse.de`` are two hosts; Python's own ``idna`` codec is of 2003 and makes them one.
"""

from functools import lru_cache

import idna

MAX_HOST = 253
"""Characters of the longest host name (RFC 1035, without the final dot)."""
# Each letter of a name that is not ASCII costs some microseconds, and only configurations hold such names: browsers
# send ASCII.
_MAX_UNICODE = 100


def ascii_host(name: str) -> str:
    """Return a host name in the form that is compared, without a final dot; "" for what cannot be a host name.

    ASCII names are only lower-cased: hosts with underscores and the like exist, whatever IDNA says.
    """
    name = name.rstrip(".")
    if name.isascii():
        return name.lower() if len(name) <= MAX_HOST else ""
    return _encoded(name) if len(name) <= _MAX_UNICODE else ""


def prepare() -> None:
    """Load the tables of UTS #46, which idna would otherwise load for the first name that needs them."""
    _encoded("é.example")


@lru_cache(maxsize=256)
def _encoded(name: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode().rstrip(".")
    except UnicodeError:  # IDNAError is one
        return ""
