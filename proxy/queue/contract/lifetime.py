"""What the process asks of the queue: whether it works, and to close."""

from typing import Protocol


class Lifetime(Protocol):
    """Tells whether the queue works, and closes it."""

    async def ready(self) -> None:
        """Commit something small; answers within about a second, whatever the disk does.

        Raises:
            QueueError: when the queue cannot be written, or takes nothing new.
        """

    async def close(self) -> None:
        """Finish what was asked, then close."""
