"""All that a queue can do, for whoever opens it and hands it to its users."""

from typing import Protocol

from proxy.queue.contract.archive import Archive
from proxy.queue.contract.intake import Intake
from proxy.queue.contract.lifetime import Lifetime
from proxy.queue.contract.outbox import Outbox
from proxy.queue.contract.pixel_orders import PixelOrders


class DeliveryQueue(Outbox, PixelOrders, Protocol):
    """Gives events out to be delivered, as the operator ordered."""


class WholeQueue(Intake, Outbox, Archive, Lifetime, Protocol):
    """Takes events, gives them out, and shows what became of them."""
