"""The end of a queue: after some errors nothing can be stored any more, and the process must end."""

import asyncio

from proxy.queue.contract import QueueBrokenError


class QueueWatch:
    """Makes the break of a queue awaitable; create it within the event loop."""

    def __init__(self) -> None:
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails when the queue must not be trusted any more."""

    def on_broken(self, error: QueueBrokenError) -> None:
        """Note the error after which the queue stores nothing any more; only the first call counts."""
        if not self.broken.done():
            self.broken.set_exception(error)
