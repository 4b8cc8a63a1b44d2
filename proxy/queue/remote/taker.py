"""What the back's end of the socket needs: an engine that stores groups, and a watch that is told about fronts."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from proxy.queue.contract import Intake
from proxy.queue.group import Group
from proxy.queue.grouper import Outcome
from proxy.queue.remote.messages import FrontReport


@runtime_checkable
class GroupTaker(Intake, Protocol):
    """An engine that stores groups which were made elsewhere."""

    def suppressions_version(self) -> int:
        """Return ``group.Suppressed.version``; if it is greater than a group's, somebody was suppressed since."""

    def take(self, group: Group, tell: Callable[[Outcome], None]) -> None:
        """Begin to store a group; ``tell`` is called with the outcome on the event loop.

        Raises:
            QueueError: when the engine takes nothing now.
        """

    def full_reason(self) -> str:
        """Return why appends are refused; empty while they are taken."""


class FrontWatch(Protocol):
    """Is told about fronts."""

    def joined(self, front: int) -> None:
        """Take note that a front is connected."""

    def left(self, front: int) -> None:
        """Take note that a front is no longer connected."""

    def report(self, front: int, report: FrontReport) -> None:
        """Take what a front counted and noticed."""

    def refused(self, why: str) -> None:
        """Take note that the queue refuses events."""

    def fault(self, error: Exception) -> None:
        """Take note of an error that is a fault of this program."""
