"""Whom an event is about, as digests that say nothing without the installation's secret.

A person is known by what stays the same from event to event: hashed mail address, phone number and ids of the
site's own (the visitor id is one of them), and the browser id ``_fbp``. Not by the click id, which goes along when
somebody shares a link, nor by an address that many use.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from proxy.rules.pii import match_keys

DIGEST = 16
"""Bytes of a digest."""
HASHED = ("em", "ph", "external_id")
"""The hashed match keys that are one person's."""


def digests(user_data: Mapping[str, Any], keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests of the person that clean ``user_data`` is about, under each key.

    Args:
        user_data: Match keys by Meta's names: lists of SHA-256 in hex, and ``fbp``.
        keys: Keys of the installation's secrets, the current one first: marks made under an old one still fit.
    """
    known = list(_identifiers(user_data)) if keys else []
    return tuple([blake2b(text, key=key, digest_size=DIGEST).digest() for key in keys for text in known])


def identifiers(raw: Mapping[str, Sequence[str]], countries: Iterable[str]) -> dict[str, list[str]]:
    """Return hashed match keys of a person as somebody wrote them, whatever country a phone number is of.

    Raises:
        ValueError: when a value has no form to be known by; the text is its key.
    """
    found: dict[str, list[str]] = {}
    given = [(key, value) for key in HASHED for value in raw.get(key, ())]
    for key, value in given:
        readings = (match_keys({key: value}, country=country).hashed.get(key, ()) for country in countries)
        hashes = [one for reading in readings for one in reading]
        if not hashes:
            raise ValueError(key)
        found[key] = [*found.get(key, ()), *hashes]
    return found


def _identifiers(user_data: Mapping[str, Any]) -> Iterator[bytes]:
    for name in HASHED:
        for value in user_data.get(name, ()):
            # Meta's libraries sign what they hashed with an appendix.
            yield f"{name}:{value.partition('.')[0]}".encode()
    if fbp := user_data.get("fbp"):
        # Version and index say where the cookie stands, a fifth segment who wrote it; time and number say whose it is.
        yield f"fbp:{'.'.join(fbp.split('.')[2:4])}".encode()
