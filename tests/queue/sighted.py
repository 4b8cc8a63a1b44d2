"""Sightings that pages leave of made-up visitors, and servers' events about their orders."""

from collections.abc import Sequence
from typing import Any

import orjson
from clock import NOON
from queues import rows_of
from support import PIXEL, SECRET, server_record

from proxy.model.join import Join, JoinKey, JoinKind, Sighting
from proxy.model.record import Record
from proxy.queue.contract import Segment, Stored, WholeQueue
from proxy.queue.seal import Sealer
from proxy.queue.sightings import open_sighting

ANNA, BERT = b"a" * 16, b"b" * 16


def key(kind: JoinKind, value: object) -> JoinKey:
    return kind, str(value).encode().ljust(16, b"\0")


def order(number: object) -> JoinKey:
    return key(JoinKind.ORDER, number)


def left(who: str, *keys: JoinKey, name: str = "Purchase", at: int = NOON, **facts: Any) -> Sighting:
    """Return the sighting that an event of a visitor left; its id depends on name, visitor and time."""
    known = {
        "fbp": f"fb.1.1.{who}",
        "fbc": f"fb.1.{at}.click",
        "address": "93.184.216.34",
        "user_agent": f"agent of {who}",
        "person_digests": (who[:1].encode() * 16,),
    }
    identity = f"{name}-{who}-{at}"
    event = key(JoinKind.EVENT, identity[-16:])
    return Sighting("shop", (event, *keys), name, identity, at, who.encode().ljust(8, b"\0"), **(known | facts))


def told(*keys: JoinKey, number: int = 1, unknown: Any = "send", days: int = 30, **facts: Any) -> Record:
    """Return a server's event that is joined by these keys."""
    made = server_record(number)
    payload = orjson.dumps({"event_name": "Purchase", "event_id": made.id, "user_data": {}})
    join = Join("shop", keys, unknown, days)
    return made._replace(name="Purchase", time_s=NOON // 1000, payload=payload, pending=join, **facts)


async def claimed(queue: WholeQueue) -> list[Record]:
    segments: Sequence[Segment] = await queue.claim(PIXEL, most=1000)
    return [found for segment in segments for found in segment.records]


async def joined(queue: WholeQueue, *keys: JoinKey, number: int = 1, **join: Any) -> str:
    """Return whose browser id a new server's event gets, empty if nobody's, or the reason for which it was dropped."""
    before = dict(queue.stats().withheld)
    await queue.append([told(*keys, number=number, **join)])
    if found := await claimed(queue):
        return str(orjson.loads(found[0].payload)["user_data"].get("fbp", "")).removeprefix("fb.1.1.")
    (reason,) = [reason for reason, count in queue.stats().withheld.items() if count > before.get(reason, 0)]
    return reason


async def leave(queue: WholeQueue, *sightings: Sighting) -> Stored:
    return await queue.append([], sightings=sightings)


async def rows(queue: WholeQueue, table: str = "sighting") -> int:
    """Return the number of rows of a table."""
    ((count,),) = await rows_of(queue, f"SELECT count(*) FROM {table}")
    return int(str(count))


async def resting(queue: WholeQueue) -> list[Sighting]:
    """Return all stored sightings, decrypted."""
    sealed = await rows_of(queue, "SELECT sealed FROM sighting ORDER BY id")
    found = [open_sighting(text, Sealer(SECRET)) for (text,) in sealed]
    return [each for each in found if each]
