"""What every queue promises, in one protocol for each of its users.

``append`` returns after the records are durable: on this disk (SQLite) or in a shared database. From then on a
record leaves the queue only when its end is recorded (by ``settle`` or ``expire``, or when ``claim`` drops it), or by
``erase``. Claimed segments belong to the claimer until settled or released; a claim does not outlive the process, so
after a crash the same records are delivered again with the same event ids.
"""

from proxy.queue.contract.archive import (
    FROM_SERVER,
    MOST_IDS,
    Archive,
    Books,
    ClosableBooks,
    DeadLetter,
    Erased,
    EventPage,
    Filter,
    WaitingEvent,
)
from proxy.queue.contract.backlog import Backlog, Oldest, Stats
from proxy.queue.contract.errors import QueueBrokenError, QueueError, QueueFullError
from proxy.queue.contract.intake import Intake, Stored
from proxy.queue.contract.lifetime import Lifetime
from proxy.queue.contract.outbox import (
    DeliveryState,
    NewDeadLetter,
    Outbox,
    Remainder,
    Segment,
    SegmentRef,
    Settlement,
)
from proxy.queue.contract.pixel_orders import PixelOrders
from proxy.queue.contract.replicas import LaneReport, Replica, Replicas
from proxy.queue.contract.rows import dead_row, dropped_row, duplicate_row, ended_row
from proxy.queue.contract.suppressing import Suppressing, Suppression
from proxy.queue.contract.whole import DeliveryQueue, WholeQueue

__all__ = [
    "FROM_SERVER",
    "MOST_IDS",
    "Archive",
    "Backlog",
    "Books",
    "ClosableBooks",
    "DeadLetter",
    "DeliveryQueue",
    "DeliveryState",
    "Erased",
    "EventPage",
    "Filter",
    "Intake",
    "LaneReport",
    "Lifetime",
    "NewDeadLetter",
    "Oldest",
    "Outbox",
    "PixelOrders",
    "QueueBrokenError",
    "QueueError",
    "QueueFullError",
    "Remainder",
    "Replica",
    "Replicas",
    "Segment",
    "SegmentRef",
    "Settlement",
    "Stats",
    "Stored",
    "Suppressing",
    "Suppression",
    "WaitingEvent",
    "WholeQueue",
    "dead_row",
    "dropped_row",
    "duplicate_row",
    "ended_row",
]
