"""What joins the copies of one order: what a page left of its visitor, and by what a server's event finds that.

A *sighting* is what an event of a page that names an order, or asks for one, leaves of its visitor: the browser's ids,
its address and user agent, and the id of the event, sealed, for ``join_days``. A server's event waits a moment before
it is delivered, and takes from the sighting of its visitor what it lacks. Keys say nothing without the secret.
"""

from enum import IntEnum
from typing import Literal, NamedTuple, TypeAlias

from proxy.model.request import Options

JOIN_KEY = 16
"""Bytes of a key."""


class JoinKind(IntEnum):
    """By what a server's event finds its visitor, the surest first."""

    EVENT = 1
    """The name and id of the page's copy, which some shops keep with the order."""
    ORDER = 2
    CHECKOUT = 3
    """The token of the checkout."""
    BROWSER = 4
    """The browser's ``_fbp``."""
    NUMBER = 5
    """The visitor number, which a backend may have as ``external_id``."""
    ACCOUNT = 6
    EMAIL = 7
    PHONE = 8


CERTAIN = frozenset({JoinKind.EVENT, JoinKind.ORDER, JoinKind.CHECKOUT})
"""Kinds that name the order itself: they decide alone, and make the two events copies of each other."""
SAME_BROWSER = frozenset({JoinKind.BROWSER, JoinKind.NUMBER})
"""Kinds that name the browser itself, whatever it ordered before."""
TELLING = frozenset({JoinKind.ORDER, JoinKind.CHECKOUT, JoinKind.BROWSER, JoinKind.ACCOUNT, JoinKind.EMAIL})
"""Kinds of which different values on both sides say that it is somebody else, or another order."""

JoinKey: TypeAlias = tuple[JoinKind, bytes]
"""A kind, and 16 bytes made of the site, the kind and the value under the installation's secret."""


class Sighting(NamedTuple):
    """What a page's event leaves of its visitor for the server's event of the same order."""

    site: str
    keys: tuple[JoinKey, ...]
    name: str
    """The event's."""
    id: str
    """The event's, as both copies carry it."""
    at: int
    """When it arrived: server clock in milliseconds."""
    visitor: bytes
    """8 bytes that tell visitors apart."""
    fbp: str = ""
    fbc: str = ""
    address: str = ""
    user_agent: str = ""
    options: Options | None = None
    """Under which the visitor's data may be processed."""
    person_digests: tuple[bytes, ...] = ()
    """By which an opt-out finds it, and an erasure: of the visitor's number and browser, and of what the page told."""
    forbidden: str = ""
    """A word of ``DropReason``: why no event of this order may leave; nothing of the visitor is kept then."""


class Join(NamedTuple):
    """By what a server's event finds its visitor before it is delivered, and what it may take."""

    site: str
    keys: tuple[JoinKey, ...]
    unknown: Literal["send", "ldu", "drop"]
    """What is done with it when no visitor is found."""
    days: int
    """How old a sighting may be."""
    takes: Literal["all", "ids", "nothing"] = "all"
    """Only what happens on a website has a browser's address and user agent; an app has not even a browser."""


class Twin(NamedTuple):
    """A page's event that waits for the server's copy: if that comes, it goes out, completed, and this one does not."""

    orders: bytes
    """As ``Record.order``."""
    unpaid: Literal["", "send", "drop"] = ""
    """What is done when the copy did not come, where that means that the order was not paid; empty: it is sent."""
