"""What joins a page's and a server's event of one order: sightings of visitors, and the keys that find them.

A *sighting* is what a page's event leaves of its visitor if it names an order or may be about one: the browser's ids,
its address and user agent, and the id of the event, encrypted, for ``join_days``. A server's event waits a moment
before it is delivered, and takes from the sighting of its visitor what it lacks. The keys reveal nothing without the
secret.
"""

from enum import IntEnum
from typing import Literal, NamedTuple, TypeAlias

from proxy.model.request import Options

JOIN_KEY = 16
"""Bytes of a join key."""


class JoinKind(IntEnum):
    """Kinds of keys by which a server's event finds its visitor, the surest first."""

    EVENT = 1
    """The name and id of the page's copy of the event, which some shops keep with the order."""
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
"""Kinds that name the order itself: one such key decides, and makes the two events copies of each other."""
SAME_BROWSER = frozenset({JoinKind.BROWSER, JoinKind.NUMBER})
"""Kinds that name the browser itself, whatever it ordered before."""
TELLING = frozenset({JoinKind.ORDER, JoinKind.CHECKOUT, JoinKind.BROWSER, JoinKind.ACCOUNT, JoinKind.EMAIL})
"""Kinds that speak against a match: different values in the event and the sighting mean another person or order."""

JoinKey: TypeAlias = tuple[JoinKind, bytes]
"""A kind, and 16 bytes made of the site, the kind and the value under the installation's secret."""


class Sighting(NamedTuple):
    """What a page's event leaves of its visitor for the server's event of the same order."""

    site: str
    keys: tuple[JoinKey, ...]
    name: str
    """The name of the event."""
    id: str
    """The id of the event, which both copies carry."""
    at: int
    """When the event arrived: server clock in milliseconds."""
    visitor: bytes
    """8 bytes that tell visitors apart."""
    fbp: str = ""
    fbc: str = ""
    address: str = ""
    user_agent: str = ""
    options: Options | None = None
    """The data processing options that apply to the visitor's data."""
    person_digests: tuple[bytes, ...] = ()
    """Digests by which an opt-out or an erasure finds the sighting: of the visitor number, of the browser's id, and of
    the match keys that the page gave."""
    forbidden: str = ""
    """Why no event of this order may be sent, as a word of ``DropReason``: then nothing of the visitor is kept. Empty
    if it may be."""


class Join(NamedTuple):
    """How a server's event finds the sighting of its visitor before it is delivered, and what it may take from it."""

    site: str
    keys: tuple[JoinKey, ...]
    unknown: Literal["send", "ldu", "drop"]
    """What is done with it when no visitor is found."""
    days: int
    """How many days old a sighting may be."""
    takes: Literal["all", "ids", "nothing"] = "all"
    """Which data the event may take: "all" if it happened on a website; else "ids", without the browser's address and
    user agent; "nothing" if no browser was involved, as in an app."""


class Twin(NamedTuple):
    """The wait of a page's event for the server's copy: if that comes, it is sent, completed, instead of this event."""

    orders: bytes
    """See ``Record.order``."""
    unpaid: Literal["", "send", "drop"] = ""
    """What is done with the page's event when the server's copy did not come, which means that the order was not paid;
    empty if its absence does not mean that: the event is sent."""
