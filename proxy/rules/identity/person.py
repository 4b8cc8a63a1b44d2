"""Whom an event is about: ``user_data``, and the digests by which its person is known to the queue.

The digests reveal nothing without the installation's secret. They are made of what stays the same from event to event:
hashed mail address, phone number and ids of the site's own (the visitor number is one of them), and the browser id
``_fbp``. Not of the click id, which other people get when somebody shares a link, nor of the IP address, which many may
share.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Any

import msgspec

from proxy.graph.law import REQUEST_KEYS, TOO_BROAD
from proxy.rules.identity.visitor_cookie import VisitorCookie
from proxy.rules.match.keys import HASHED, NOTHING, PLAIN, MatchKeys

DIGEST = 16
"""Bytes of a digest."""
PERSONAL = ("em", "ph", "external_id")
"""The hashed match keys that identify one person."""
_ALL_KEYS = frozenset({*HASHED, *PLAIN, *REQUEST_KEYS})
# Keys that are in no set of TOO_BROAD, the most common first: an event with one of them is never too broad.
_TELLING = tuple(key for key in ("fbp", "external_id", *_ALL_KEYS) if not any(key in broad for broad in TOO_BROAD))


class Person(msgspec.Struct, frozen=True, gc=False):
    """Who the visitor is for one pixel."""

    user_data: Mapping[str, Any]
    digests: tuple[bytes, ...]
    is_too_broad: bool
    """Whether Meta would refuse an event with these keys, because they fit too many people."""
    findings: tuple[str, ...]


def person_of(  # noqa: PLR0913 - the places that a key can come from
    keys: MatchKeys,
    cookie: VisitorCookie,
    *,
    address: str,
    user_agent: str,
    fbp: str,
    fbc: str,
    person_keys: Sequence[bytes],
) -> Person:
    """Return who the visitor is for one pixel; empty values are left out of ``user_data``, except ``fbp``.

    Args:
        keys: The match keys that the page gave.
        cookie: The visitor cookie: the visitor number, and match keys of the same visit, which are used where the page
            gives none.
        address: The client's IP address, or "".
        user_agent: The client's user agent, or "".
        fbp: The browser's id.
        fbc: The browser's click, or "".
        person_keys: The keys of person digests, the current one first.
    """
    has_keys = keys is not NOTHING or cookie.match
    user_data: dict[str, Any] = {**keys.plain, **cookie.match, **keys.hashed} if has_keys else {}
    if address:
        user_data["client_ip_address"] = address
    if user_agent:
        user_data["client_user_agent"] = user_agent
    user_data["fbp"] = fbp
    if fbc:
        user_data["fbc"] = fbc
    # For most visitors only the browser is known.
    person_digests = digests(user_data, person_keys) if has_keys else browser_digests(fbp, person_keys)
    if visitor := cookie.visitor:
        user_data["external_id"] = [*user_data.get("external_id", ()), number_hash(visitor)]
        person_digests += number_digests(visitor, person_keys)
    findings = keys.findings if keys.rejected or keys.cut else ()
    # With a browser's id the keys are never too broad.
    return Person(user_data, person_digests, not fbp and is_too_broad(user_data), findings)


def is_too_broad(user_data: Mapping[str, object]) -> bool:
    """Tell whether Meta would refuse an event with these keys; a key without a value does not count."""
    if any(map(user_data.get, _TELLING)):
        return False
    present = {key for key, value in user_data.items() if value and key in _ALL_KEYS}
    return any(present <= broad for broad in TOO_BROAD)


def digests(user_data: Mapping[str, Any], keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests of the person that clean ``user_data`` is about, under each key.

    Args:
        user_data: Match keys by Meta's names: lists of SHA-256 in hex, and ``fbp``.
        keys: Keys of the installation's secrets, the current one first: suppressions made under an old one still fit.
    """
    if not keys:
        return ()
    identifiers = []
    for name in PERSONAL:
        if values := user_data.get(name):
            # Meta's libraries add an appendix to hashes, which does not count.
            identifiers += [f"{name}:{value.partition('.')[0]}".encode() for value in values]
    if fbp := user_data.get("fbp"):
        identifiers.append(browser_of(fbp))
    return _digests_of(identifiers, keys)


def browser_of(fbp: str) -> bytes:
    """Return the part of ``_fbp`` that identifies the browser: its time and number, without index and appendix."""
    return f"fbp:{'.'.join(fbp.split('.')[2:4])}".encode()


def browser_digests(fbp: str, keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests of the browser with this ``_fbp``, one for each key; none if it is empty."""
    return _digests_of((browser_of(fbp),), keys) if fbp else ()


def number_digests(visitor: str, keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests of the browser with this visitor number, one for each key."""
    return _number_digests(visitor, tuple(keys)) if keys else ()


# Cached, like the digests below: each request needs both twice, and a random number is no contact data.
@lru_cache(maxsize=16)
def number_hash(visitor: str) -> str:
    """Return a visitor number as Meta gets it."""
    return sha256(visitor.encode()).hexdigest()


@lru_cache(maxsize=16)
def _number_digests(visitor: str, keys: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return _digests_of((f"external_id:{number_hash(visitor)}".encode(),), keys)


def proven_digests(cookie: VisitorCookie, person_keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests under which this browser may be suppressed; a new suppression is stored under the first.

    Only the visitor number counts, which the proxy itself made: ``_fbp`` and remembered match keys are in the sealed
    cookie too, but came as claims of a page, and with a false claim a visitor could opt other people out.
    """
    suppressed = (bytes.fromhex(cookie.suppression),) if cookie.suppression else ()
    return (*suppressed, *number_digests(cookie.visitor, person_keys)) if cookie.visitor else suppressed


def _digests_of(identifiers: Sequence[bytes], keys: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple([blake2b(text, key=key, digest_size=DIGEST).digest() for key in keys for text in identifiers])
