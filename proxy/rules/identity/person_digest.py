"""Whom an event is about, as digests that say nothing without the installation's secret.

A person is known by what stays the same from event to event: hashed mail address, phone number and ids of the
site's own (the visitor id is one of them), and the browser id ``_fbp``. Not by the click id, which goes along when
somebody shares a link, nor by an address that many use.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from proxy.rules.identity.reference import resolve
from proxy.rules.match.keys import match_keys
from proxy.rules.match.text import sha256

DIGEST = 16
"""Bytes of a digest."""
HASHED = ("em", "ph", "external_id")
"""The hashed match keys that are one person's."""
ACCEPTED = f"lists of hashes under {', '.join(HASHED)}, of references under visitor, of digests under digest"


class UnknownPersonError(ValueError):
    """Nobody can be known by what was given; the text names the member, never its value."""


def digests(user_data: Mapping[str, Any], keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests of the person that clean ``user_data`` is about, under each key.

    Args:
        user_data: Match keys by Meta's names: lists of SHA-256 in hex, and ``fbp``.
        keys: Keys of the installation's secrets, the current one first: suppressions made under an old one still fit.
    """
    return _digests_of(_identifiers(user_data), keys) if keys else ()


def number_digests(visitor: str, keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests of the browser with this visitor number, likewise."""
    return _digests_of([_identifier("external_id", number_hash(visitor))], keys) if keys else ()


@lru_cache(maxsize=16)
def number_hash(visitor: str) -> str:
    """Return a visitor number as Meta gets it: each request needs it twice, and a random number is no contact data."""
    return sha256(visitor)


def _digests_of(known: Sequence[bytes], keys: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple([blake2b(text, key=key, digest_size=DIGEST).digest() for key in keys for text in known])


def people_of(person: Mapping[str, Any], keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests of a person whom the owner names.

    Args:
        person: Lists by member: hashed match keys by Meta's names, so that no contact data comes here; ``visitor``,
            references that the opt-out page showed; ``digest``, digests in hex.
        keys: Keys of the installation's secrets.

    Raises:
        UnknownPersonError: when a reference or a digest is none, or nobody is named.
    """
    hashes = {key: person[key] for key in HASHED if person.get(key)}
    found = [
        *digests(match_keys(hashes).hashed, keys),
        *_each("visitor", person, lambda text: resolve(text, keys)),
        *_each("digest", person, _digest),
    ]
    if not found:
        raise UnknownPersonError("nobody is named")
    return tuple(found)


def _each(member: str, person: Mapping[str, Any], read: Callable[[str], bytes | None]) -> Iterator[bytes]:
    given = person.get(member, [])
    for value in given if isinstance(given, list) else [given]:
        digest = read(value) if isinstance(value, str) else None
        if digest is None:
            raise UnknownPersonError(f"{member}: a value that this installation did not make")
        yield digest


def _digest(text: str) -> bytes | None:
    return bytes.fromhex(text) if re.fullmatch(r"[0-9a-f]{32}", text) else None


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


def _identifiers(user_data: Mapping[str, Any]) -> list[bytes]:
    found = [_identifier(name, value) for name in HASHED for value in user_data.get(name, ())]
    if fbp := user_data.get("fbp"):
        # Version and index say where the cookie stands, a fifth segment who wrote it; time and number say whose it is.
        found.append(f"fbp:{'.'.join(fbp.split('.')[2:4])}".encode())
    return found


def _identifier(name: str, value: str) -> bytes:
    # Meta's libraries sign what they hashed with an appendix.
    return f"{name}:{value.partition('.')[0]}".encode()
