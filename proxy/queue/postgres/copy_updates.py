"""Reads later updates of browser copies from the tables of days."""

from collections.abc import Sequence
from typing import Any

from proxy.model.event import BrowserCopy
from proxy.model.ledger import LedgerRow
from proxy.queue.postgres.ledger_rows import row_of
from proxy.queue.postgres.transaction import Run
from proxy.queue.rollup_counts import latest_copy_status as known_copy


async def latest_copies(run: Run, days: Sequence[int], copies: Sequence[int]) -> dict[int, BrowserCopy]:
    """Return the latest status that updates gave to browser copies (``fired`` is final), by one statement for all days.

    Args:
        run: Runs the statement.
        days: Days with a table, in order.
        copies: Numbers of copies; see ``ledger_rows.copy_number``.
    """
    if not copies or not days:
        return {}
    parts = (f"SELECT {day} AS day, key, fate FROM fate_{day} WHERE key = ANY($1::int8[])" for day in days)  # noqa: S608
    found = await run(f"{' UNION ALL '.join(parts)} ORDER BY day", list(copies))
    told: dict[int, BrowserCopy] = {}
    for _, key, word in found:
        told[key] = known_copy(told.get(key, BrowserCopy.PENDING), BrowserCopy(word)) or BrowserCopy.PENDING
    return told


async def read_with_copies(run: Run, days: Sequence[int], rows: Sequence[Any]) -> list[LedgerRow]:
    """Return rows of the ledger with the status of their browser copies that is known now; servers' events have none.

    Args:
        run: Runs the statement.
        days: Days with a table, in order.
        rows: Rows of the ledger, read with the columns ``FACTS``.
    """
    updates = await latest_copies(run, days, [row["copy"] for row in rows])
    found = []
    for row in rows:
        each = row_of(row)
        browser_copy = known_copy(each.browser_copy, updates.get(row["copy"]))
        found.append(each._replace(browser_copy=browser_copy) if browser_copy is not each.browser_copy else each)
    return found
