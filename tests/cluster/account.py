"""The fate of every acknowledged event, at the simulator and in the ledger."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

import aiohttp
from load import Event
from node import Node
from polling import until
from support import get_json

SCHEMA = "capi_proxy"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename ~ '^ledger_[0-9]+$'"
_SETTLED = "SELECT pixel, id FROM {} WHERE status = 'delivered'"
_WAITING = "SELECT coalesce(sum(n), 0) FROM capi_proxy.segment"


@dataclass(frozen=True)
class Account:
    """How the acknowledged events arrived."""

    missing: set[Event]
    stored_twice: set[Event]
    """Events that were settled more than once, so they had more than one row in the queue."""
    again: int
    """The number of copies at the simulator beyond the first: deliveries repeated after a crash or a lost answer."""


async def delivered(session: aiohttp.ClientSession, graph: str) -> Counter[Event]:
    """Return how often each event arrived at the simulator."""
    report = await get_json(session, f"{graph}/sim/report")
    assert not report["forgotten"]
    return Counter({(pair["pixel"], pair["id"]): pair["server"] for pair in report["pairs"]})


async def settled(primary: Node) -> Counter[Event]:
    """Return how often the ledger has each event as delivered."""
    tables = [row[0] for row in await primary.rows(_TABLES, SCHEMA)]
    found: Counter[Event] = Counter()
    for table in tables:
        found.update([(row[0], row[1]) for row in await primary.rows(_SETTLED.format(f"{SCHEMA}.{table}"))])
    return found


async def drained(primary: Node, seconds: float = 120.0) -> None:
    """Wait until no event waits in the database.

    Raises:
        TimeoutError: when it takes longer than ``seconds``.
    """

    async def is_empty() -> bool:
        return not await primary.value(_WAITING)

    await until(is_empty, seconds=seconds, what="an empty queue")


async def account(
    session: aiohttp.ClientSession, graph: str, primary: Node, acknowledged: Collection[Event]
) -> Account:
    """Return how the acknowledged events arrived, once no event waits.

    Args:
        session: For requests to the simulator.
        graph: Its address.
        primary: The server with queue and ledger.
        acknowledged: The events that must have arrived.
    """
    await drained(primary)
    found = await delivered(session, graph)
    twice = {event for event, count in (await settled(primary)).items() if count > 1}
    return Account({event for event in acknowledged if not found[event]}, twice, found.total() - len(found))
