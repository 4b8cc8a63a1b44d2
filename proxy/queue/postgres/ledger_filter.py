"""The SQL condition, with its values, for the finished events that a filter asks for."""

from typing import NamedTuple

from proxy.model.ledger import LedgerRow, Status
from proxy.queue.contract import FROM_SERVER, MOST_IDS, Filter
from proxy.queue.postgres.ledger_days import ARRIVAL
from proxy.queue.postgres.ledger_rows import storable_text

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


class RowCondition(NamedTuple):
    """A condition to be appended to other conditions: it begins with AND, or is empty."""

    sql: str
    values: list[object]


def condition_of(wanted: Filter, first: int) -> RowCondition:
    """Return the condition of a filter, without its cursors.

    Args:
        wanted: The filter.
        first: The number of the first argument.
    """
    parts: list[str] = []
    values: list[object] = []

    def add(part: str, value: object) -> None:
        parts.append(part.format(f"${first + len(values)}"))
        values.append(value)

    for column, word in _texts(wanted).items():
        if word:
            add(f"{column} = {{}}", storable_text(word))
    if wanted.ids:
        add("id = ANY({}::text[])", [storable_text(each) for each in wanted.ids[:MOST_IDS]])
    if wanted.since_ms is not None:
        add(f"{ARRIVAL} >= {{}}::int8", bounded(wanted.since_ms))
    if wanted.until_ms is not None:
        add(f"{ARRIVAL} < {{}}::int8", bounded(wanted.until_ms))
    if wanted.status:
        parts.append(_of_status(wanted.status))
    if wanted.browser_copy == FROM_SERVER:
        parts.append("fate IS NULL")
    return RowCondition("".join(f" AND {part}" for part in parts), values)


def _texts(wanted: Filter) -> dict[str, str]:
    browser_copy = "" if wanted.browser_copy == FROM_SERVER else wanted.browser_copy
    return {
        "pixel": wanted.pixel,
        "name": wanted.name,
        "id": wanted.id,
        "reason": wanted.reason,
        "source": wanted.action_source,
        "site": wanted.site,
        "fate": browser_copy,
    }


def _of_status(status: Status) -> str:
    """Return a condition without an argument, so that the planner knows whether it can use the index of rare rows."""
    if status is Status.REPLAYED:
        return f"status = '{Status.DEAD}' AND replayed"
    return f"status = '{status.value}'" + (" AND replayed IS NULL" if status is Status.DEAD else "")


def is_shown(row: LedgerRow, wanted: Filter) -> bool:
    """Tell whether a row is wanted now that the latest update of its browser copy is known."""
    return not wanted.browser_copy or wanted.browser_copy == (row.browser_copy or FROM_SERVER)


def bounded(number: int) -> int:
    """Return a number as the database can hold it."""
    return max(_LEAST, min(number, _MOST))
