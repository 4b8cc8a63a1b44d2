"""The visitor cookie: one sealed, HttpOnly first-party cookie that holds what we know of a browser between its visits.

Layout of its value, in base64url: version (1 byte), id of the secret (4), time of sealing (4, seconds), nonce (12),
ciphertext with its tag. AES-256-GCM under a key for each secret and day: a random 96-bit nonce bears 2^32 texts under
one key (NIST SP 800-38D, 8.3), which is 49,000 requests/s for the day. Head and site are bound, so neither the time
nor the place of a cookie can be changed. Whatever does not open counts as no cookie; nobody is told.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.model.keys import derive
from proxy.model.request import Consent

MAX_AGE_S = 400 * 24 * 60 * 60
"""Longer than this no browser keeps a cookie (RFC 6265bis), and none is believed."""
MAX_VALUE = 1536
"""Characters of the cookie's value; beyond, remembered match keys are left out, the last ones first."""

_VERSION = b"\x02"
_ID, _TIME, _NONCE, _TAG = 4, 4, 12, 16
_HEAD = len(_VERSION) + _ID + _TIME + _NONCE
_MAX_PLAIN = MAX_VALUE * 3 // 4 - _HEAD - _TAG
_DAY_S = 24 * 60 * 60
_CIPHERS = 1024  # a day has its own, for each secret


class VisitorCookie(NamedTuple):
    """What the cookie holds; an empty one is what a new visitor has. Times are server-clock milliseconds."""

    visitor: str = ""
    """Our own id of this browser: 128 random bits in hex."""
    since: int = 0
    """When ``visitor`` was made; likewise below, when a value was first seen."""
    fbp: str = ""
    fbp_since: int = 0
    fbc: str = ""
    fbc_since: int = 0
    consent: Consent = Consent.UNKNOWN
    """The page's last clear word."""
    opted_out: bool = False
    """The visitor's own word, which the page's consent does not change."""
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
    """The cookie's value, where it can be set again as it is if what it holds stays the same; else empty."""


NOTHING = VisitorCookie()
NONE_FOUND = FoundCookie(NOTHING, "")
_CONSENT, _MATCH = VisitorCookie._fields.index("consent"), VisitorCookie._fields.index("match")
# Before ``match`` stands a place that an earlier version used and none reads any more.
_RETIRED = 0
_CONSENTS = {consent.value: consent for consent in Consent}


class VisitorCookieKeys:
    """Seals visitor cookies with the current secret; opens what any listed one sealed."""

    def __init__(self, secret: str, old_secrets: Sequence[str] = ()) -> None:
        self._secrets = {_id(listed): listed for listed in (*reversed(old_secrets), secret)}
        self._current = _id(secret)
        self._visitors = derive(secret, "keeper-visitor")
        self._cipher = lru_cache(maxsize=_CIPHERS)(self._cipher_of)
        self.names: Callable[[str], tuple[str, ...]] = lru_cache(maxsize=_CIPHERS)(self._names_of)
        """By a site's name the cookie's, then those that old secrets gave it: 8 characters that no list can know."""

    def new_visitor(self, entropy: int) -> str:
        """Return a new visitor id: 128 bits that nobody without the secret can tell from what else came of them."""
        return blake2b(entropy.to_bytes(16, "big"), key=self._visitors, digest_size=16).hexdigest()

    def seal(self, visitor_cookie: VisitorCookie, site: str, *, now: int, entropy: int) -> str:
        """Return the cookie's value.

        Args:
            visitor_cookie: What it holds.
            site: The site's name.
            now: Server clock in milliseconds.
            entropy: 128 random bits never used for another.
        """
        nonce = entropy.to_bytes(16, "big")[:_NONCE]
        seconds = now // 1000
        head = _VERSION + self._current + seconds.to_bytes(_TIME, "big") + nonce
        cipher = self._cipher(self._current, seconds // _DAY_S)
        sealed = head + cipher.encrypt(nonce, _fitting(visitor_cookie), head + site.encode())
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
            base64_text = value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4)
            sealed = binascii.a2b_base64(base64_text, strict_mode=True)
            head, secret_id = sealed[:_HEAD], sealed[1 : 1 + _ID]
            if head[:1] != _VERSION or secret_id not in self._secrets:
                return None
            seconds = int.from_bytes(head[1 + _ID : 1 + _ID + _TIME], "big")
            age = now // 1000 - seconds
            if not -_DAY_S <= age <= MAX_AGE_S:  # several proxies have several clocks
                return None
            cipher = self._cipher(secret_id, seconds // _DAY_S)
            plain = cipher.decrypt(head[-_NONCE:], sealed[_HEAD:], head + site.encode())
        except (InvalidTag, ValueError):  # ValueError: no base64, or shorter than a nonce or a tag
            return None
        # Set again for up to a day, it is believed for up to a day less than the browser keeps it.
        is_fresh = secret_id == self._current and 0 <= age < _DAY_S
        return FoundCookie(_unpacked(orjson.loads(plain)), value if is_fresh else "")

    def _cipher_of(self, secret_id: bytes, day: int) -> AESGCM:
        return AESGCM(derive(self._secrets[secret_id], f"keeper:{day}"))

    def _names_of(self, site: str) -> tuple[str, ...]:
        newest_first = reversed(self._secrets.values())
        names = (base64.b32encode(derive(secret, f"keeper-name:{site}", length=5)) for secret in newest_first)
        return tuple(name.decode().lower() for name in names)


def _id(secret: str) -> bytes:
    return derive(secret, "keeper-id", length=_ID)


def _fitting(visitor_cookie: VisitorCookie) -> bytes:
    """Write what the cookie holds, without as many of its match keys as do not fit."""
    plain = orjson.dumps(_packed(visitor_cookie))
    while len(plain) > _MAX_PLAIN and visitor_cookie.match:
        visitor_cookie = visitor_cookie._replace(match=dict(list(visitor_cookie.match.items())[:-1]))
        plain = orjson.dumps(_packed(visitor_cookie))
    return plain


def _packed(visitor_cookie: VisitorCookie) -> list[Any]:
    """Write the fields in their order, which stays what it is: new ones come last."""
    match = {key: [_short_hash(text) for text in hashes] for key, hashes in visitor_cookie.match.items()}
    return [*visitor_cookie[:_MATCH], _RETIRED, match, *visitor_cookie[_MATCH + 1 :]]


def _unpacked(packed: list[Any]) -> VisitorCookie:
    """Read what we wrote; what a later version wrote besides is passed over."""
    fields = packed[: len(NOTHING) + 1]
    del fields[_MATCH]  # the retired place
    fields[_CONSENT] = _CONSENTS[fields[_CONSENT]]
    if fields[_MATCH]:
        fields[_MATCH] = {key: tuple(map(_long_hash, hashes)) for key, hashes in fields[_MATCH].items()}
    return VisitorCookie(*fields)


def _short_hash(text: str) -> str:
    """Return 64 hex digits as 43 characters; other forms of a match key stay, behind an equals sign."""
    if len(text) != 64:
        return "=" + text
    return base64.b64encode(bytes.fromhex(text)).rstrip(b"=").decode()


def _long_hash(text: str) -> str:
    return text[1:] if text.startswith("=") else base64.b64decode(text + "=").hex()
