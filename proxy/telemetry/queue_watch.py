"""What the queue says of itself: troubles become conditions, and a break ends the process."""

import asyncio

from proxy.queue.contract import QueueBrokenError, Trouble
from proxy.telemetry.conditions import Conditions


class QueueWatch:
    """Listens to one queue; made within the event loop."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails when the queue must not be trusted any more."""

    def on_broken(self, error: QueueBrokenError) -> None:
        """Take the error after which nothing is stored any more; the first one counts."""
        if not self.broken.done():
            self.broken.set_exception(error)

    def on_trouble(self, trouble: Trouble) -> None:
        """Report what begins to be wrong, and clear what is over."""
        if trouble.detail:
            self._conditions.report(trouble.code, trouble.subject, trouble.detail, failing=trouble.failing)
        else:
            self._conditions.clear(trouble.code, trouble.subject)
