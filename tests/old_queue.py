"""A queue.db with contents of every kind, and readers that show them as a shared queue would."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from clock import NOON, Clock
from queues import open_queue
from support import PIXEL, SECRET, record, server_record

from proxy.model.join import JoinKind, Sighting, Twin
from proxy.model.order import order_key
from proxy.model.record import Record
from proxy.model.server_request import RequestFields
from proxy.model.suppression import SuppressionKind
from proxy.model.verdict import GraphError
from proxy.queue.codec import unpack
from proxy.queue.contract import Filter, NewDeadLetter, Settlement
from proxy.queue.seal import Sealer
from proxy.queue.sqlite.connection import open_stopped

ANNA, BERT = b"a" * 16, b"b" * 16
MANY = 150
ORDER = order_key("shop", "Purchase", "1001")


def sighting(who: bytes, number: int, forbidden: str = "") -> Sighting:
    keys = ((JoinKind.ORDER, number.to_bytes(16, "big")), (JoinKind.EMAIL, b"mail-" + number.to_bytes(11, "big")))
    return Sighting(
        "shop",
        keys,
        "Purchase",
        f"s{number}",
        NOON,
        who[:8],
        fbp="fb.1.1.x",
        person_digests=(who,),
        forbidden=forbidden,
    )


def sale(number: int) -> Record:
    return server_record(number, RequestFields(partner_agent="shop"))._replace(
        name="Purchase", order=ORDER, worth=b"1234"
    )


async def fill(directory: Path, clock: Clock, many: int = MANY) -> None:
    """Store segments of every kind, dead letters, suppressions, orders, known events and sightings."""
    queue = open_queue(directory, clock)
    await queue.append([record(number) for number in range(8)])
    refused = await queue.claim(PIXEL, most=1000)
    letters = tuple(
        NewDeadLetter(each, "rejected", GraphError(100, 28040, "words", "trace"), 2)
        for segment in refused
        for each in segment.records[:5]
    )
    await queue.settle(refused, Settlement(done=tuple(each.ref for each in refused), dead=letters))
    assert await queue.replay([2], not_before_s=0) == 1
    await queue.append([record(1), *(record(number) for number in range(10, 14)), record(11)])
    await queue.append(
        [
            sale(20),
            record(30)._replace(not_before=NOON + 90_000, order=order_key("shop", "a", "2"), pending=Twin(b"o" * 16)),
        ]
    )
    await queue.append([record(40, pixel="77", visitor=b"")])
    for number in range(many):
        # Each in a commit of its own, and so in a segment of its own.
        await queue.append([record(1000 + number, pixel="78")])
    suspects = await queue.claim("77", most=10)
    await queue.settle(suspects, Settlement(suspects=((suspects[0].ref, 3),)))
    await queue.append([], sightings=[sighting(ANNA, number) for number in range(40)])
    await queue.append([], sightings=[sighting(BERT, 99, "gpc")])
    for kind in SuppressionKind:
        await queue.suppress([b"c" * 16, b"d" * 16], kind, NOON + 5)
    await queue.close()


def read(directory: Path, sql: str, name: str = "queue.db") -> list[Any]:
    """Return rows of a file in the directory."""
    db = open_stopped(directory / name)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def opened(pixel: str, sealed: bytes, sealer: Sealer | None = None) -> tuple[Record, ...]:
    return unpack((sealer or Sealer(SECRET)).open(sealed, pixel.encode()), pixel)


def memory(directory: Path, name: str) -> set[bytes]:
    """Return the keys of the duplicate memory."""
    tables = (
        "SELECT key FROM event_0",
        "SELECT key FROM event_1",
        "SELECT key FROM event_2",
        "SELECT key FROM event_3",
    )
    return {bytes(key) for (key,) in read(directory, " UNION ".join(tables), name)}


def segments(directory: Path, name: str = "queue.db") -> list[tuple[Any, ...]]:
    """Return each waiting segment: its history, the positions that are skipped, and its records."""
    sql = "SELECT pixel, n, attempts, strikes, at, suspect, oldest_s, not_before, skip, fields, sealed FROM segment"
    found = []
    for *facts, skip, fields, sealed in read(directory, sql, name):
        positions = [int.from_bytes(skip[start : start + 2], "big") for start in range(0, len(skip), 2)]
        found.append((*facts, positions, fields, opened(facts[0], sealed)))
    return sorted(found)


async def dead_letters(directory: Path, clock: Clock) -> list[Any]:
    """Return the dead letters, without their numbers."""
    queue = open_queue(directory, clock)
    found = [replace(each, id=0) for each in await queue.dead_letters(Filter(limit=1000))]
    await queue.close()
    return found
