"""The visitor cookie: one sealed, HttpOnly first-party cookie that holds what we know of a browser between its visits.

Layout of its value, in base64url: version (1 byte), id of the secret (4), time of sealing (4, seconds), nonce (12),
ciphertext with its tag. AES-256-GCM under a key for each secret and day: random 96-bit nonces allow 2^32 texts under
one key (NIST SP 800-38D, 8.3), which is 49,000 requests/s for the day. Head and site are authenticated, so neither the
time nor the site of a cookie can be changed. A value that cannot be opened counts as no cookie, without an error.
"""

import base64
import binascii
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

import msgspec
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import astuple, replace

from proxy.model.keys import derive
from proxy.model.request import Consent

MAX_AGE_S = 400 * 24 * 60 * 60
"""No browser keeps a cookie longer than this (RFC 6265bis), and an older cookie is not accepted."""
MAX_VALUE = 1536
"""Characters of the cookie's value; beyond, remembered match keys are left out, the last ones first."""

_VERSION = b"\x02"
_ID, _TIME, _NONCE, _TAG = 4, 4, 12, 16
_HEAD = len(_VERSION) + _ID + _TIME + _NONCE
_HEAD_PARTS = struct.Struct(f">{len(_VERSION)}s{_ID}sI{_NONCE}s")
_FROM_URLSAFE = bytes.maketrans(b"-_", b"+/")
_MAX_PLAIN = MAX_VALUE * 3 // 4 - _HEAD - _TAG
_DAY_S = 24 * 60 * 60
_CIPHERS = 1024  # each secret has one for each day


class VisitorCookie(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the cookie holds; the defaults are those of a new visitor. Times are server-clock milliseconds.

    The fields are sealed as a JSON list in this order, which must not change: new fields come last.
    """

    visitor: str = ""
    """Our own id of this browser: 128 random bits in hex."""
    since: int = 0
    """When ``visitor`` was made; the other ``…_since`` say when a value was first seen."""
    fbp: str = ""
    fbp_since: int = 0
    fbc: str = ""
    fbc_since: int = 0
    consent: Consent = Consent.UNKNOWN
    """The last consent or withdrawal that a page reported."""
    opted_out: bool = False
    """Whether the visitor opted out, which the page's consent does not change."""
    retired: Any = 0
    """A place that an earlier version used; nothing reads it any more."""
    match: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Hashed match keys of this visit, most telling first; only where the site allows."""
    match_since: int = 0
    match_seen: int = 0
    suppression: str = ""
    """The digest (hex) of the opt-out or withdrawal on the proxy's list, which is needed to lift it."""


class FoundCookie(msgspec.Struct, frozen=True, gc=False):
    """A visitor cookie as a request brings it."""

    visitor_cookie: VisitorCookie
    sealed: str
    """The cookie's value, if it may be set again unchanged as long as what it holds stays the same; else empty."""


NOTHING = VisitorCookie()
NONE_FOUND = FoundCookie(NOTHING, "")
_MATCH = VisitorCookie.__struct_fields__.index("match")
_READER = msgspec.json.Decoder(VisitorCookie)


class VisitorCookieKeys:
    """Seals visitor cookies with the current secret; opens those that the current or an old secret sealed."""

    def __init__(self, secret: str, old_secrets: Sequence[str] = ()) -> None:
        self._secrets = {_id(listed): listed for listed in (*reversed(old_secrets), secret)}
        self._current = _id(secret)
        self._visitors = derive(secret, "keeper-visitor")
        self._cipher = lru_cache(maxsize=_CIPHERS)(self._cipher_of)
        self.names: Callable[[str], tuple[str, ...]] = lru_cache(maxsize=_CIPHERS)(self._names_of)
        """Returns for a site's name the cookie's name, then those under old secrets: 8 characters no block list can
        know."""

    def new_visitor(self, entropy: int) -> str:
        """Return a new visitor number: 128 bits that only the secret could link to other uses of ``entropy``."""
        return blake2b(entropy.to_bytes(16, "big"), key=self._visitors, digest_size=16).hexdigest()

    def seal(self, visitor_cookie: VisitorCookie, site: str, *, now: int, entropy: int) -> str:
        """Return the cookie's value.

        Args:
            visitor_cookie: What it holds.
            site: The site's name.
            now: Server clock in milliseconds.
            entropy: 128 random bits never used for another cookie.
        """
        nonce = entropy.to_bytes(16, "big")[:_NONCE]
        seconds = now // 1000
        head = _VERSION + self._current + seconds.to_bytes(_TIME, "big") + nonce
        cipher = self._cipher(self._current, seconds // _DAY_S)
        sealed = head + cipher.encrypt(nonce, _json_that_fits(visitor_cookie), head + site.encode())
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, value: str, site: str, *, now: int) -> VisitorCookie | None:
        """Return what a cookie's value holds, or None if we did not seal it for this site within 400 days.

        Args:
            value: As the browser sent it.
            site: The site's name.
            now: Server clock in milliseconds.
        """
        found = self._found(value, site, now)
        return found.visitor_cookie if found else None

    def find(self, cookies: Mapping[str, str], site: str, *, now: int) -> FoundCookie | None:
        """Return the visitor cookie among the cookies of a request, newest name first; None if none opens.

        Args:
            cookies: By name.
            site: The site's name.
            now: Server clock in milliseconds.
        """
        for name in self.names(site):
            if (value := cookies.get(name)) and (found := self._found(value, site, now)):
                return found
        return None

    def _found(self, value: str, site: str, now: int) -> FoundCookie | None:
        if len(value) > MAX_VALUE:
            return None
        try:
            base64_text = value.encode().translate(_FROM_URLSAFE) + b"=" * (-len(value) % 4)
            sealed = binascii.a2b_base64(base64_text, strict_mode=True)
            version, secret_id, seconds, nonce = _HEAD_PARTS.unpack_from(sealed)
            age = now // 1000 - seconds
            # A cookie may seem to come from the future, since the clocks of several proxies differ.
            if version != _VERSION or secret_id not in self._secrets or not -_DAY_S <= age <= MAX_AGE_S:
                return None
            cipher = self._cipher(secret_id, seconds // _DAY_S)
            plain = cipher.decrypt(nonce, sealed[_HEAD:], sealed[:_HEAD] + site.encode())
        except (InvalidTag, ValueError, struct.error):  # no base64, or shorter than a head or a tag
            return None
        # A value that is set again keeps its time, so it is accepted for up to a day less than the browser keeps it.
        is_fresh = secret_id == self._current and 0 <= age < _DAY_S
        return FoundCookie(_opened(plain), value if is_fresh else "")

    def _cipher_of(self, secret_id: bytes, day: int) -> AESGCM:
        return AESGCM(derive(self._secrets[secret_id], f"keeper:{day}"))

    def _names_of(self, site: str) -> tuple[str, ...]:
        newest_first = reversed(self._secrets.values())
        names = (base64.b32encode(derive(secret, f"keeper-name:{site}", length=5)) for secret in newest_first)
        return tuple(name.decode().lower() for name in names)


def _id(secret: str) -> bytes:
    return derive(secret, "keeper-id", length=_ID)


def _json_that_fits(visitor_cookie: VisitorCookie) -> bytes:
    """Return what the cookie holds as JSON, without the last match keys if not all of them fit."""
    plain = orjson.dumps(_packed(visitor_cookie))
    while len(plain) > _MAX_PLAIN and visitor_cookie.match:
        visitor_cookie = replace(visitor_cookie, match=dict(list(visitor_cookie.match.items())[:-1]))
        plain = orjson.dumps(_packed(visitor_cookie))
    return plain


def _packed(visitor_cookie: VisitorCookie) -> list[Any]:
    fields = list(astuple(visitor_cookie))
    fields[_MATCH] = {key: [_short_hash(text) for text in hashes] for key, hashes in visitor_cookie.match.items()}
    return fields


def _opened(plain: bytes) -> VisitorCookie:
    """Read what the cookie holds; fields that a later version added are ignored."""
    visitor_cookie = _READER.decode(plain)
    if visitor_cookie.match:
        match = {key: tuple(map(_long_hash, hashes)) for key, hashes in visitor_cookie.match.items()}
        visitor_cookie = replace(visitor_cookie, match=match)
    return replace(visitor_cookie, retired=0) if visitor_cookie.retired else visitor_cookie


def _short_hash(text: str) -> str:
    """Return 64 hex digits as 43 characters; other forms of a match key stay, behind an equals sign."""
    if len(text) != 64:
        return "=" + text
    return base64.b64encode(bytes.fromhex(text)).rstrip(b"=").decode()


def _long_hash(text: str) -> str:
    return text[1:] if text.startswith("=") else base64.b64decode(text + "=").hex()
