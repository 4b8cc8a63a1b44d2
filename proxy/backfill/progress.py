"""How far a file was sent, as the text of a small file that survives a killed process. It holds no contact data."""

import hashlib
from typing import Self

import msgspec

_FORMAT = 1


class Progress(msgspec.Struct, frozen=True):
    """What a run has reached.

    The part that was sent is known by its length and its hash, so that a file that grew is continued, and one that was
    edited is noticed.
    """

    format: int
    asked: str
    """A hash of what decides about events besides the file: site, pixel, mapping, constants."""
    end: int = 0
    """Bytes of the file whose events are all sent, or known not to be."""
    sha256: str = ""
    """Of these bytes."""
    beyond: int = 0
    """Events sent of the line behind these bytes, which holds several."""
    sent: int = 0
    """Events that the proxy acknowledged, in all runs."""
    refused: int = 0
    """Events that the proxy refused, in all runs."""

    @classmethod
    def start(cls, asked: str) -> Self:
        """Return the progress of a file of which nothing is sent."""
        return cls(_FORMAT, asked, sha256=hashlib.sha256().hexdigest())

    def text(self) -> bytes:
        """Return what is written to disk."""
        return msgspec.json.encode(self) + b"\n"


def read_progress(text: bytes) -> Progress | None:
    """Return what a text says, or None when it is no progress of this version."""
    try:
        found = msgspec.json.decode(text, type=Progress)
    except msgspec.MsgspecError:
        return None
    return found if found.format == _FORMAT else None
