"""Helpers that make finished events, write them into the ledger of any queue, and read them page by page."""

from dataclasses import replace
from typing import Any

from clock import NOON
from support import record, until

from proxy.model.event_facts import EventFacts, bits_of
from proxy.model.ledger import LedgerRow, Status
from proxy.model.record import Record
from proxy.queue.contract import EventPage, Filter, WholeQueue, ended_row

FACTS = EventFacts("shop", bits_of(["em", "fbp"]), "granted", "pixel", ("email:url",), 129_900, "EUR")


def arrived(number: int, ms: int = 0, **changes: Any) -> Record:
    """Return an event that arrived ``ms`` milliseconds after noon."""
    return record(number)._replace(facts=FACTS, arrived=NOON + ms)._replace(**changes)


def ended(source: Record, status: Status = Status.DELIVERED, after_ms: int = 0, reason: str = "") -> LedgerRow:
    return ended_row(source, status, reason, source.arrived + after_ms)


async def written(queue: WholeQueue, *rows: LedgerRow) -> None:
    """Note rows, and wait until they are in the ledger."""
    before = await _counted(queue)
    queue.note(rows)

    async def all_there() -> bool:
        return await _counted(queue) == before + len(rows)

    await until(all_there, what="all rows in the ledger")


async def _counted(queue: WholeQueue) -> int:
    return sum(1 for _ in [each async for each in queue.events(Filter(limit=10_000))])


async def all_pages(queue: WholeQueue, wanted: Filter) -> list[EventPage]:
    """Return all pages of a filter."""
    pages, below = [], ""
    while True:
        page = await queue.event_page(replace(wanted, below=below))
        pages.append(page)
        if page.below is None:
            return pages
        below = page.below


async def ids_of(queue: WholeQueue, **wanted: Any) -> list[str]:
    """Return the ids of all rows of a filter, page after page."""
    return [row.id for page in await all_pages(queue, Filter(**wanted)) for row in page.rows]
