"""The shared order memory: which events of orders came in the last 90 days (at most 120), whatever their ids were.

What it is good for is explained in sqlite/orders.py, and what follows from its answers in order_copies.py. Here it is
one table, from which old months are deleted a slice at a time: with a table for each month, events would have to wait
while a table is made.

Events of one order may reach several proxies at once. Each proxy writes its own keys before it reads any, so that the
second of two servers' events waits for the first and then finds it. A page's copy that waits for a server's event has a
row in ``unsent_order``. Both a server's event that arrives and a claim that is about to send the page's copy lock this
row before they read, so that the second knows what the first did.
"""

from collections.abc import Collection, Mapping, Sequence

from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.queue.group import Member
from proxy.queue.order_copies import classify_orders, lookup_keys_of, order_of, orders_of, page_key, server_order_key
from proxy.queue.past import Past
from proxy.queue.postgres.seen import worth_bytes, worth_number
from proxy.queue.postgres.transaction import Run

_MONTH_MS = 30 * DAY_MS
# Months (of 30 days) that are remembered, with the current one: an event of the first day of the oldest is up to 120
# days old.
_MONTHS = 4
# Keys forgotten in one transaction.
_SLICE = 1000

TABLES = (
    "CREATE TABLE IF NOT EXISTS order_memory(key uuid PRIMARY KEY, worth int4, month int4 NOT NULL)",
    "CREATE INDEX IF NOT EXISTS order_memory_month ON order_memory(month)",
    "CREATE TABLE IF NOT EXISTS unsent_order(key uuid PRIMARY KEY, until int8 NOT NULL)",
    "CREATE INDEX IF NOT EXISTS unsent_order_until ON unsent_order(until)",
)
# A key that is there already keeps its worth and month, unless its time is over.
_REMEMBER = f"""
INSERT INTO order_memory(key, worth, month)
SELECT key, worth, $3::int4 FROM unnest($1::uuid[], $2::int4[]) u(key, worth)
ON CONFLICT (key) DO UPDATE SET worth = excluded.worth, month = excluded.month
WHERE order_memory.month <= excluded.month - {_MONTHS} RETURNING key"""  # noqa: S608 - our own number
_MET = f"SELECT key, worth FROM order_memory WHERE key = ANY($1::uuid[]) AND month > $2::int4 - {_MONTHS}"  # noqa: S608
_RETRACT = "DELETE FROM order_memory WHERE key = ANY($1::uuid[])"
_FORGET = """
DELETE FROM order_memory WHERE key = ANY(ARRAY(SELECT key FROM order_memory WHERE month <= $1 ORDER BY month LIMIT $2))
RETURNING 1"""
_WAIT = """
INSERT INTO unsent_order SELECT * FROM unnest($1::uuid[], $2::int8[]) ON CONFLICT DO NOTHING"""
_UNSENT = "SELECT key FROM unsent_order WHERE key = ANY($1::uuid[]) ORDER BY key FOR UPDATE"
_END_WAIT = "DELETE FROM unsent_order WHERE key = ANY($1::uuid[])"
_FORGET_WAITS = """
DELETE FROM unsent_order WHERE key = ANY(ARRAY(SELECT key FROM unsent_order WHERE until < $1 ORDER BY until LIMIT $2))
RETURNING 1"""


async def check_and_remember(
    run: Run, members: Sequence[Member], seen: Mapping[int, Past], now: int
) -> dict[int, Past]:
    """Return which records repeat an event of their order, from before or from this group, and remember all.

    By their numbers in the group.

    Args:
        run: Within a transaction.
        members: The group's records.
        seen: What the duplicate memory says of them.
        now: Server clock in milliseconds.
    """
    orders = orders_of(members)
    if not orders:
        return {}
    added = await _remember(run, _first_worths(members), now)
    unsent = await _lock(run, {key for order in orders.values() for key in order.others})
    met = await _read(run, lookup_keys_of(orders.values()), now)
    found = classify_orders(members, seen, {key: worth for key, worth in met.items() if key not in added}, unsent)
    if found.waiting:
        keys = sorted(found.waiting)
        await run(_WAIT, keys, [found.waiting[key] for key in keys])
    return found.pasts


def _first_worths(members: Sequence[Member]) -> dict[bytes, bytes]:
    worths: dict[bytes, bytes] = {}
    for number, order in orders_of(members).items():
        for key in order.own:
            worths.setdefault(key, members[number].record.worth)
    return worths


async def _remember(run: Run, worths: Mapping[bytes, bytes], now: int) -> set[bytes]:
    """Insert keys, after waiting for any transaction that inserts the same keys now; return those that were new."""
    keys = sorted(worths)
    rows = await run(_REMEMBER, keys, [worth_number(worths[key]) for key in keys], now // _MONTH_MS)
    return {row["key"] for row in rows}


async def _lock(run: Run, keys: Collection[bytes]) -> set[bytes]:
    """Return which of these keys are of pages' copies that still wait, and lock those until the transaction ends."""
    return {row["key"] for row in await run(_UNSENT, sorted(keys))} if keys else set()


async def _read(run: Run, keys: Collection[bytes], now: int) -> dict[bytes, bytes]:
    rows = await run(_MET, sorted(keys), now // _MONTH_MS) if keys else ()
    return {row["key"]: worth_bytes(row["worth"]) for row in rows}


async def known_server_orders(run: Run, pixel: str, orders: Collection[bytes], now: int) -> dict[bytes, bytes]:
    """Return those of the orders of which a server's event is remembered, each with the worth of that event.

    Args:
        run: Runs the statement.
        pixel: For which pixel.
        orders: Their keys.
        now: Server clock in milliseconds.
    """
    keys = {server_order_key(order, pixel): order for order in orders}
    return {keys[key]: worth for key, worth in (await _read(run, keys, now)).items()}


async def lock_known_server_orders(run: Run, pixel: str, orders: Collection[bytes], now: int) -> dict[bytes, bytes]:
    """As ``known_server_orders``, for a claim that is about to decide about the pages' copies of these orders.

    Locks these copies: until the transaction ends no server's event takes their place, and after it a server's event
    finds what became of them.

    Args:
        run: Within a transaction.
        pixel: For which pixel.
        orders: Their keys.
        now: Server clock in milliseconds.
    """
    await _lock(run, {page_key(order, pixel) for order in orders})
    return await known_server_orders(run, pixel, orders, now)


async def end_wait(run: Run, pixel: str, orders: Collection[bytes]) -> None:
    """Remember that the pages' copies of orders no longer wait: no server's event takes their place from now on.

    Args:
        run: Within a transaction.
        pixel: For which pixel.
        orders: Their keys.
    """
    if orders:
        await run(_END_WAIT, sorted({page_key(order, pixel) for order in orders}))


async def retract(run: Run, record: Record) -> None:
    """Forget a server's event, since it is not sent: a page's copy of the order is no repeat of it then."""
    if record.order:
        await run(_RETRACT, sorted(order_of(record).own))


async def forget(run: Run, now: int) -> bool:
    """Delete a slice of the keys and of the waiting copies whose time is over; tell whether there may be more."""
    removed = await run(_FORGET, now // _MONTH_MS - _MONTHS, _SLICE)
    ended = await run(_FORGET_WAITS, now - _MONTHS * _MONTH_MS, _SLICE)
    return max(len(removed), len(ended)) == _SLICE
