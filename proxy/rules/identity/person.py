"""Whom an event is about: ``user_data``, and the digests by which its person is known to the queue.

The digests say nothing without the installation's secret. A person is known by what stays the same from event to event:
hashed mail address, phone number and ids of the site's own (the visitor number is one of them), and the browser id
``_fbp``. Not by the click id, which goes along when somebody shares a link, nor by an address that many use.
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
"""The hashed match keys that are one person's."""
_ALL_KEYS = frozenset({*HASHED, *PLAIN, *REQUEST_KEYS})
# Keys that no set has, the commonest first.
_TELLING = tuple(key for key in ("fbp", "external_id", *_ALL_KEYS) if not any(key in broad for broad in TOO_BROAD))


class Person(msgspec.Struct, frozen=True, gc=False):
    """Who the visitor is for one pixel."""

    user_data: Mapping[str, Any]
    digests: tuple[bytes, ...]
    is_too_broad: bool
    """Meta would refuse an event with these keys, as they fit too many people."""
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
    """Return who the visitor is, and what Graph is told; what is empty is left out, but ``fbp``.

    Args:
        keys: What the page told.
        cookie: The visitor cookie: the visitor number, and match keys of the same visit, which count where the page
            tells no other.
        address: The client's, or "".
        user_agent: The client's, or "".
        fbp: The browser's id.
        fbc: Its click, or "".
        person_keys: Under which people have digests.
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
    # Of most visitors no more than the browser is known.
    person_digests = digests(user_data, person_keys) if has_keys else browser_digests(fbp, person_keys)
    if visitor := cookie.visitor:
        user_data["external_id"] = [*user_data.get("external_id", ()), number_hash(visitor)]
        person_digests += number_digests(visitor, person_keys)
    findings = keys.findings if keys.rejected or keys.cut else ()
    # A browser's id says enough.
    return Person(user_data, person_digests, not fbp and too_little(user_data), findings)


def too_little(user_data: Mapping[str, object]) -> bool:
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
            # Meta's libraries sign what they hashed with an appendix.
            identifiers += [f"{name}:{value.partition('.')[0]}".encode() for value in values]
    if fbp := user_data.get("fbp"):
        identifiers.append(browser_of(fbp))
    return _digests_of(identifiers, keys)


def browser_of(fbp: str) -> bytes:
    """Return what of an id says whose it is: its time and number, not where its cookie stands or who wrote it."""
    return f"fbp:{'.'.join(fbp.split('.')[2:4])}".encode()


def browser_digests(fbp: str, keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests of the browser with this id, likewise; none where it has none."""
    return _digests_of((browser_of(fbp),), keys) if fbp else ()


def number_digests(visitor: str, keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests of the browser with this visitor number, likewise."""
    return _number_digests(visitor, tuple(keys)) if keys else ()


# Each request needs both twice, and a random number is no contact data.
@lru_cache(maxsize=16)
def number_hash(visitor: str) -> str:
    """Return a visitor number as Meta gets it."""
    return sha256(visitor.encode()).hexdigest()


@lru_cache(maxsize=16)
def _number_digests(visitor: str, keys: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return _digests_of((f"external_id:{number_hash(visitor)}".encode(),), keys)


def proven(cookie: VisitorCookie, person_keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests by which suppressions of this browser are known, the one to suppress it by first.

    Only the visitor number counts, which we gave and sealed: ``_fbp`` and remembered match keys are sealed too, but
    came as claims of a page, and whoever may claim them could speak for others.
    """
    suppressed = (bytes.fromhex(cookie.suppression),) if cookie.suppression else ()
    return (*suppressed, *number_digests(cookie.visitor, person_keys)) if cookie.visitor else suppressed


def _digests_of(identifiers: Sequence[bytes], keys: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple([blake2b(text, key=key, digest_size=DIGEST).digest() for key in keys for text in identifiers])
