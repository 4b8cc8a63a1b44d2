"""How a queue fails."""


class QueueError(Exception):
    """Nothing was stored; the caller must tell its client so."""


class QueueFullError(QueueError):
    """Nothing more fits now: too many events wait, or the disk is full. Later it may work."""


class QueueBrokenError(QueueError):
    """The disk failed under the queue: what is on it is unknown, and only a restart can tell."""
