"""How a queue fails, and what it says is wrong while it goes on."""

from dataclasses import dataclass


class QueueError(Exception):
    """Nothing was stored; the caller says so to whoever waits."""


class QueueFullError(QueueError):
    """Nothing more fits now: too many events wait, or the disk is full. Later it may work."""


class QueueBrokenError(QueueError):
    """The disk failed under the queue: what is on it is unknown, and only a restart can tell."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong with the queue though it goes on, or that is over; becomes a condition."""

    code: str
    subject: str
    detail: str
    """Empty when it is over."""
    failing: bool = False
    """True when nothing new can be stored."""
