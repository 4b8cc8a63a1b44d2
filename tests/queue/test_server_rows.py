"""Rows of servers' events differ from those of pages, on disk and in the operator's view."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from clock import NOON, Clock
from queues import open_queue
from support import record, server_record

from proxy.model.event import DropReason
from proxy.operator.event_json import event_json
from proxy.queue.contract import Filter, Settlement, dropped_row
from proxy.queue.sqlite.engine import LocalQueue

ROWS = [
    dropped_row(record(1), DropReason.BOT, NOON),
    dropped_row(server_record(2), DropReason.NO_CONSENT, NOON),
    dropped_row(server_record(3, source="physical_store"), DropReason.TOO_OLD, NOON),
]


@pytest.fixture(name="queue")
async def _queue(tmp_path: Path) -> AsyncIterator[LocalQueue]:
    queue = open_queue(tmp_path, Clock())
    await queue.settle([], Settlement(rows=tuple(ROWS)))
    yield queue
    await queue.close()


FILTERS: list[tuple[str, list[str]]] = [
    ("", ["id-1", "id-2", "id-3"]),
    ("website", ["id-1", "id-2"]),
    ("physical_store", ["id-3"]),
    ("app", []),
    ("x' OR 1=1 --", []),
]


@pytest.mark.parametrize(("source", "ids"), FILTERS)
@pytest.mark.parametrize("since", [None, 0])
async def test_rows_are_found_by_where_their_events_happened(
    queue: LocalQueue, source: str, ids: list[str], since: int | None
) -> None:
    """Filters by action source work newest first, from a number on, and together with another condition."""
    found = [row async for row in queue.events(Filter(action_source=source, since=since))]
    both = [row async for row in queue.events(Filter(action_source=source, since=since, reason="too_old"))]

    assert [row.id for row in found] == (ids if since == 0 else ids[::-1])
    assert [row.id for row in both] == [identity for identity in ids if identity == "id-3"]


async def test_rows_come_back_as_they_were(queue: LocalQueue) -> None:
    """Each row has its action source, and a server's row no browser copy, also in the operator's view."""
    rows = [row async for row in queue.events(Filter(since=0))]
    shown = [event_json(row) for row in rows]

    assert rows == [row._replace(visitor=b"") for row in ROWS]
    assert [(row["browser_copy"], row["action_source"]) for row in shown] == [
        ("fired", "website"),
        ("", "website"),
        ("", "physical_store"),
    ]
