"""Frames on the socket between a front and the back: length of the body, number, kind, body.

A number is chosen by whoever asks, and the answer has it too; what is not answered has the number 0. What is no frame,
or longer than any of ours, ends the connection that it came on, and no other.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

_HEAD = struct.Struct(">IIB")
MOST_BODY = 96 << 20
"""Bytes of a body. A group has at most 32 MiB of records or is one request's; it goes out sealed and open."""
LAST_NUMBER = (1 << 32) - 1


class FrameKind(IntEnum):
    """What a frame says."""

    # Of a front
    HELLO = 1
    APPEND = 2
    NOTE = 3
    SUPPRESS = 4
    LIFT = 5
    SUPPRESSED = 6
    MET_ORDERS = 7
    REPORT = 8
    # Of the back
    STATE = 65
    """How the queue is; the first one is the answer to HELLO. Comes twice a second, so that silence means trouble."""
    DONE = 66
    FAILED = 67


class MalformedFrameError(Exception):
    """What came on the socket is nothing that the other process says."""


class Frame(NamedTuple):
    """One frame."""

    kind: FrameKind
    number: int
    body: bytes


def frame_bytes(kind: FrameKind, number: int, body: bytes) -> bytes:
    """Return a frame as it is sent.

    Args:
        kind: What it says.
        number: Of the question; 0 where nobody answers.
        body: At most ``MOST_BODY`` bytes.

    Raises:
        ValueError: when the body is longer.
    """
    if len(body) > MOST_BODY:
        raise ValueError(f"a frame of {len(body)} bytes; accepted: {MOST_BODY}")
    return _HEAD.pack(len(body), number, kind) + body


class FrameReader:
    """Puts the frames of one connection together."""

    def __init__(self, most_body: int = MOST_BODY) -> None:
        """Begin with nothing; ``most_body`` bounds what is collected for one frame."""
        self._most_body = most_body
        self._collected = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are whole with this.

        Raises:
            MalformedFrameError: when what comes can never be a frame.
        """
        self._collected += data
        while frame := self._next():
            yield frame

    def _next(self) -> Frame | None:
        if len(self._collected) < _HEAD.size:
            return None
        length, number, kind = _HEAD.unpack_from(self._collected)
        if length > self._most_body:
            raise MalformedFrameError(f"a frame of {length} bytes")
        end = _HEAD.size + length
        if len(self._collected) < end:
            return None
        try:
            frame = Frame(FrameKind(kind), number, bytes(memoryview(self._collected)[_HEAD.size : end]))
        except ValueError:
            raise MalformedFrameError(f"a frame of kind {kind}") from None
        del self._collected[:end]
        return frame
