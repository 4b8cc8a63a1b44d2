"""Sightings as they are stored: sealed, and found by *slots*.

A slot is a key of the sighting, its visitor and its event's name (28 bytes). It leads to one sighting, so that a
visitor who comes again and again never hides a second visitor with the same key.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from proxy.model.event import DropReason
from proxy.model.join import CERTAIN, JOIN_KEY, Sighting
from proxy.queue.seal import Sealer, SealError

_VISITOR, _NAME = 8, 4
_BOUND = b"sighting"
_PERSON = b"person"
_REASONS = frozenset({"", *DropReason})
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Sighting).decode


class Slots(NamedTuple):
    """The slots that lead to a sighting."""

    certain: Sequence[bytes]
    """Slots of keys that name the order itself; they keep leading to the first sighting."""
    others: Sequence[bytes]
    """Slots of keys that name the visitor; they lead to the latest sighting."""


class SealedSighting(NamedTuple):
    """A sighting as an engine stores it."""

    call: int
    """Which of the group's appends brought it."""
    sighting: Sighting
    sealed: bytes
    """Empty if the person may be suppressed: the engine checks, and seals what passes."""


def slots(sighting: Sighting) -> Slots:
    """Return the slots that lead to a sighting."""
    visitor = sighting.visitor[:_VISITOR].ljust(_VISITOR, b"\0")
    whose = visitor + blake2b(sighting.name.encode(), digest_size=_NAME).digest()
    certain = [key + whose for kind, key in sighting.keys if kind in CERTAIN]
    others = [key + whose for kind, key in sighting.keys if kind not in CERTAIN]
    return Slots(certain, others)


def person_key(digest: bytes) -> bytes:
    """Return the key by which an opt-out finds the sightings of a person; no server's event has this key."""
    return blake2b(digest, digest_size=JOIN_KEY, person=_PERSON).digest()


def forbid_sighting(sighting: Sighting, reason: str) -> Sighting:
    """Return what is left of a sighting when its visitor refuses: its keys and the reason."""
    return Sighting(sighting.site, sighting.keys, sighting.name, "", sighting.at, sighting.visitor, forbidden=reason)


def seal_sighting(sighting: Sighting, sealer: Sealer) -> bytes:
    """Seal a sighting."""
    return sealer.seal(_encode(sighting), _BOUND)


def open_sighting(sealed: bytes, sealer: Sealer) -> Sighting | None:
    """Return a sighting, or None if it was damaged or no listed secret opens it."""
    try:
        found = _decode(sealer.open(sealed, _BOUND))
    except (SealError, ValueError):
        return None
    return found if found.forbidden in _REASONS else None
