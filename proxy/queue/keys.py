"""Keys of events: by which a repeat is recognised, and by which updates of a browser copy find their event.

An id that the tag made begins with the time of its birth in milliseconds (13 digits), then comes its random part. Such
an id is *timed*: its key begins with the second of its birth. Keys of events of one moment then stand side by side in
the duplicate memory, so that storing them touches few pages; and a timed id can only have been met since its birth.

    timed   second of birth (4) · hash (12)
    other   hash (16)

The form depends on the id alone, never on a clock, so that a repeat has the key of the first.
"""

from functools import lru_cache
from hashlib import blake2b

from proxy.model.server_request import NO_FIELDS, RequestFields

PREFIX = 12
"""Bytes of an event key that the duplicate memory keeps; the visitor follows them."""
_VISITOR = 4
SERVER = b"\xff" * _VISITOR
"""Takes the visitor's place in the key of a server's event: the event is the same for any server and any visitor.

``visit_key`` gives it to no browser: a browser chooses its own ``_fbp``, so somebody could search for one with this
hash.
"""
_BESIDE_SERVER = b"\xff\xff\xff\xfe"
_BIRTH_DIGITS = 13
_LAST_SECOND = (1 << 32) - 1


def birth_s(identity: str) -> int | None:
    """Return the second in which a timed id was made, as its maker's clock said; None for any other id."""
    digits = identity[:_BIRTH_DIGITS]
    if len(identity) > _BIRTH_DIGITS and digits.isascii() and digits.isdecimal():
        second = int(digits) // 1000
        return second if second <= _LAST_SECOND else None
    return None


def event_key(pixel: str, name: str, identity: str) -> bytes:
    """Return the 16 bytes by which an event is known (Meta counts by name and id within a pixel).

    Args:
        pixel: Id of the pixel.
        name: The event's name.
        identity: The event's id.
    """
    return key_and_birth(pixel, name, identity)[0]


def key_and_birth(pixel: str, name: str, identity: str) -> tuple[bytes, int | None]:
    """Return the key of an event, and its ``birth_s``.

    Args:
        pixel: Id of the pixel.
        name: The event's name.
        identity: The event's id.
    """
    digest = event_digest(pixel, name, identity)
    born = birth_s(identity)
    return (digest if born is None else born.to_bytes(4, "big") + digest[:PREFIX]), born


def event_digest(pixel: str, name: str, identity: str) -> bytes:
    """Return the hash of an event: its whole key if the id is not timed, and for any id in files of layout 5.

    Args:
        pixel: Id of the pixel.
        name: The event's name.
        identity: The event's id.
    """
    return blake2b(f"{pixel}\0{name}\0{identity}".encode(), digest_size=16).digest()


def visit_key(key: bytes, visitor: bytes) -> bytes:
    """Return the 16 bytes by which the duplicate memory knows that a visitor, who may have no id, brought an event."""
    return key[:PREFIX] + (visitor.ljust(_VISITOR, b"\0") if visitor != SERVER else _BESIDE_SERVER)


def server_key(key: bytes) -> bytes:
    """Return the 16 bytes by which the duplicate memory knows that a server brought an event."""
    return key[:PREFIX] + SERVER


def copy_key(key: bytes, visitor: bytes, secret: bytes) -> bytes:
    """Return the 8 bytes that name one visitor's browser copy of an event, so that updates find it.

    Without the secret they reveal neither the visitor nor which events have the same visitor.

    Args:
        key: The event's ``event_key``.
        visitor: Four bytes that tell visitors apart.
        secret: A key for this purpose alone.
    """
    return blake2b(key + visitor, key=secret, digest_size=8).digest()


@lru_cache(maxsize=256)
def fields_key(fields: RequestFields) -> bytes:
    """Return the 8 bytes by which the queue finds records that may share a request; empty if there are no fields."""
    if fields == NO_FIELDS:
        return b""
    return blake2b("\0".join(fields).encode(), digest_size=8).digest()
