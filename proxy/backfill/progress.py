"""How far a file was sent, kept in a small file, so that it survives a killed process. It holds no contact data."""

import hashlib
from typing import Self

import msgspec

_FORMAT = 1


class Progress(msgspec.Struct, frozen=True):
    """How far a run has come.

    The part that was sent is identified by its length and its hash, so that a file that has grown is continued, and
    one that was edited is noticed.
    """

    format: int
    asked: str
    """A hash of everything besides the file that determines the events: site, pixel, mapping, constants and so on."""
    end: int = 0
    """Bytes from the beginning of the file whose events are all done: sent, refused or left out."""
    sha256: str = ""
    """Of these bytes."""
    beyond: int = 0
    """How many events of the next line, which holds several, are done too."""
    sent: int = 0
    """Events that the proxy acknowledged, in all runs."""
    refused: int = 0
    """Events that the proxy refused, in all runs."""

    @classmethod
    def start(cls, asked: str) -> Self:
        """Return the progress of a file of which nothing was sent yet."""
        return cls(_FORMAT, asked, sha256=hashlib.sha256().hexdigest())

    def text(self) -> bytes:
        """Return what is written to disk."""
        return msgspec.json.encode(self) + b"\n"


def read_progress(text: bytes) -> Progress | None:
    """Return the progress that a text holds; None when it is not in the format of this version."""
    try:
        found = msgspec.json.decode(text, type=Progress)
    except msgspec.MsgspecError:
        return None
    return found if found.format == _FORMAT else None
