"""People whom the owner names: by hashes, by references from the opt-out page, or by digests."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from proxy.rules.identity.person import PERSONAL, digests
from proxy.rules.identity.reference import resolve
from proxy.rules.match.keys import match_keys

ACCEPTED = f"lists of hashes under {', '.join(PERSONAL)}, of references under visitor, of digests under digest"


class UnknownPersonError(ValueError):
    """What the owner named identifies no person; the text says which member is wrong, never its value."""


def person_digests_of(person: Mapping[str, Any], keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the digests of a person whom the owner names.

    Args:
        person: Lists by member: hashed match keys by Meta's names, so that no contact data comes here; ``visitor``,
            references that the opt-out page showed; ``digest``, digests in hex.
        keys: Keys of the installation's secrets.

    Raises:
        UnknownPersonError: when a reference or a digest is not valid, or no person is named.
    """
    hashes = {key: person[key] for key in PERSONAL if person.get(key)}
    found = [
        *digests(match_keys(hashes).hashed, keys),
        *_each("visitor", person, lambda text: resolve(text, keys)),
        *_each("digest", person, _digest),
    ]
    if not found:
        raise UnknownPersonError("nobody is named")
    return tuple(found)


def _each(member: str, person: Mapping[str, Any], read: Callable[[str], bytes | None]) -> Iterator[bytes]:
    values = person.get(member, [])
    for value in values if isinstance(values, list) else [values]:
        digest = read(value) if isinstance(value, str) else None
        if digest is None:
            raise UnknownPersonError(f"{member}: a value that this installation did not make")
        yield digest


def _digest(text: str) -> bytes | None:
    return bytes.fromhex(text) if re.fullmatch(r"[0-9a-f]{32}", text) else None


def identifiers(raw: Mapping[str, Sequence[str]], countries: Iterable[str]) -> dict[str, list[str]]:
    """Return the hashes of a person's raw match keys; each value is read as in each of the countries.

    Raises:
        ValueError: when a value has no normal form; the text is its key.
    """
    found: dict[str, list[str]] = {}
    for key, value in ((name, value) for name in PERSONAL for value in raw.get(name, ())):
        readings = (match_keys({key: value}, country=country).hashed.get(key, ()) for country in countries)
        hashes = [digest for reading in readings for digest in reading]
        if not hashes:
            raise ValueError(key)
        found[key] = [*found.get(key, ()), *hashes]
    return found
