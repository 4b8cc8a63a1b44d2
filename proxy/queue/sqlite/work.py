"""What the writer thread is given to do, and what it drives."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from proxy.queue.group import Group

Work: TypeAlias = Group | Callable[[], Any]
"""A group to store, whose result is a value or a QueueError for each of its appends; or a function to call."""


class Store(Protocol):
    """What the thread drives: a database with one connection, used from this thread only."""

    def commit(self, works: Sequence[Work]) -> list[Any]:
        """Do the works in one durable transaction; return for each its value or the QueueError it failed with.

        Raises:
            QueueError: when nothing of it was stored.
        """

    def tend(self) -> bool:
        """Do a piece of what can wait: notes, checkpoints, retention; tell whether more of it is due at once.

        Raises:
            QueueBrokenError: when the file must not be trusted any more.
        """

    def close(self, *, in_order: bool) -> None:
        """Close the database; not ``in_order`` when its disk failed, and nothing more may be written."""
