"""The copies of one order: by which keys the order memory knows them, and which of them are repeats; pure.

What an engine keeps of orders is described with its tables (sqlite/orders.py).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from proxy.model.join import Twin
from proxy.model.order import ORDER_KEY
from proxy.model.record import Record
from proxy.queue.contract.rows import SERVER_COPY_FINDING
from proxy.queue.group import Member
from proxy.queue.past import UNSTORED, Past

_PAGE = b"page"


class OrderKeys(NamedTuple):
    """The keys under which an event of an order is remembered, and the keys that make it a repeat.

    A page's event is a repeat if a server's event of the order came before; a server's event is one if any event of the
    order did. Repeats among pages are left to the duplicate memory: if a page named the same order for everybody, as
    templates do, all its sales but the first would be lost.
    """

    own: tuple[bytes, ...]
    """The keys under which it is remembered."""
    others: tuple[bytes, ...]
    """The keys of servers' events for a page's event, and of pages' events for a server's. If the values on the two
    sides differ, one of them may be forged."""
    known_by: tuple[bytes, ...]
    """It is a repeat if any of these keys is remembered."""
    is_of_server: bool

    def past_of_repeat(self, worth: bytes, met: Mapping[bytes, bytes]) -> Past:
        """Return what is said of this event, which is a repeat, given its worth and the remembered keys with theirs."""
        differs = worth and any(met.get(key) not in {None, b"", worth} for key in self.others)
        if self.is_of_server or any(key in met for key in self.own):
            return Past.CONTRADICTION if differs else Past.REPEAT
        return Past.SERVED_OTHERWISE if differs else Past.SERVED

    def takes_over(self, met: Collection[bytes], unsent: Collection[bytes]) -> bool:
        """Tell whether this server's event takes the place of pages' copies.

        It does if no server's event of the order came before, and no copy of a page has been sent yet.
        """
        return self.is_of_server and not any(key in met and key not in unsent for key in self.known_by)


class OrderClassification(NamedTuple):
    """What is known of a group's orders, and what is to be remembered of them."""

    pasts: dict[int, Past]
    """By the numbers of the records in the group; those whose orders are new are left out."""
    worths: dict[bytes, bytes]
    """Keys that are new, each with its worth."""
    waiting: dict[bytes, int]
    """Keys of pages' copies that wait for a server's event, each with the moment until which the copy waits."""


def orders_of(members: Sequence[Member]) -> dict[int, OrderKeys]:
    """Return the order keys of the group's records that name an order, by the records' numbers in the group."""
    return {number: order_of(member.record) for number, member in enumerate(members) if member.record.order}


def order_of(record: Record) -> OrderKeys:
    """Return by which keys a record's order is known."""
    parts = order_keys_of(record.order)
    of_server = tuple(server_order_key(part, record.pixel) for part in parts)
    of_page = tuple(page_key(part, record.pixel) for part in parts)
    if record.browser_copy is None:
        return OrderKeys(of_server, of_page, (*of_server, *of_page), is_of_server=True)
    return OrderKeys(of_page, of_server, of_server, is_of_server=False)


def server_order_key(order: bytes, pixel: str) -> bytes:
    """Return the key of a server's event of an order for one pixel: each of a site's pixels gets a copy."""
    return _key(order, pixel, b"")


def page_key(order: bytes, pixel: str) -> bytes:
    """Return the key of a page's event of an order for one pixel."""
    return _key(order, pixel, _PAGE)


def _key(order: bytes, pixel: str, whose: bytes) -> bytes:
    return blake2b(order + pixel.encode() + whose, digest_size=ORDER_KEY).digest()


def lookup_keys_of(orders: Iterable[OrderKeys]) -> set[bytes]:
    """Return the keys that are looked up in the order memory."""
    return {key for order in orders for key in (*order.own, *order.known_by)}


def classify_orders(
    members: Sequence[Member],
    seen: Mapping[int, Past],
    stored_before: Mapping[bytes, bytes],
    unsent: Collection[bytes],
) -> OrderClassification:
    """Return which records are repeats because their orders were met before, or earlier in this group.

    A repeat is remembered too: if a server's event is a repeat of a page's copy, events of further pages are repeats of
    the server's.

    Args:
        members: The group's records.
        seen: What the duplicate memory says of them.
        stored_before: The keys of ``lookup_keys_of`` that are remembered, each with its worth.
        unsent: Keys of pages whose copies are not sent yet.
    """
    met = dict(stored_before)
    waiting: dict[bytes, int] = {}
    pasts: dict[int, Past] = {}
    for number, order in orders_of(members).items():
        record, past = members[number].record, seen.get(number)
        if met.keys().isdisjoint(order.known_by):
            if isinstance(record.pending, Twin) and past not in UNSTORED:
                waiting |= {key: record.not_before for key in order.own if key not in met}
        elif past is not Past.REPEAT and order.takes_over(met, {*unsent, *waiting}):
            pasts[number] = Past.TAKEOVER
        else:
            pasts[number] = order.past_of_repeat(record.worth, met)
        for key in order.own:
            met.setdefault(key, record.worth)
    return OrderClassification(pasts, {key: worth for key, worth in met.items() if key not in stored_before}, waiting)


def merge_pasts(seen: Mapping[int, Past], orders: Mapping[int, Past]) -> dict[int, Past]:
    """Return what the two memories together say of records, by number; those to be stored as new are left out.

    Args:
        seen: What the duplicate memory says of them, by their numbers in the group.
        orders: What the order memory says of them.
    """
    known = dict(seen)
    for number, past in orders.items():
        if past is Past.TAKEOVER:
            known.pop(number, None)
        else:
            known[number] = _merge_past(known.get(number), past)
    return known


def _merge_past(seen: Past | None, past: Past) -> Past:
    """Return what is known of a record of which the order memory says ``past``, and the duplicate memory ``seen``.

    A record that its visitor brings again is a plain repeat: it counts as served by a server's event only once.
    """
    if seen is Past.REPEAT:
        return _AGAIN.get(past, past)
    return _OTHERWISE.get(past, past) if seen in _CONTRADICTED else past


_AGAIN = {Past.SERVED: Past.REPEAT, Past.SERVED_OTHERWISE: Past.CONTRADICTION}
_OTHERWISE = {Past.REPEAT: Past.CONTRADICTION, Past.SERVED: Past.SERVED_OTHERWISE}
_CONTRADICTED = (Past.CONFLICT, Past.CONTRADICTION, Past.SERVED_OTHERWISE)


def with_conflict_finding(record: Record) -> Record:
    """Return a Purchase with the finding that a copy of it has another value."""
    return record._replace(findings=(*record.findings, "id:conflict"))


def with_server_finding(record: Record) -> Record:
    """Return a page's event marked as brought by a server before; ``duplicate_row`` makes the mark a reason."""
    return record._replace(findings=(*record.findings, SERVER_COPY_FINDING))


def order_keys_of(orders: bytes) -> list[bytes]:
    """Return the keys in ``Record.order``."""
    return [orders[start : start + ORDER_KEY] for start in range(0, len(orders), ORDER_KEY)]
