"""Lets a search skip hours without a wanted event: it goes on at the last hour before a moment in which one arrived.

The rollups tell this for all events that arrived since they began to count, a moment that a row of ``meta`` has;
nothing before that moment is skipped.
"""

from collections.abc import Iterable

from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.contract import Filter
from proxy.queue.postgres.ledger_rows import storable_text
from proxy.queue.postgres.rollup_table import HOURS
from proxy.queue.postgres.transaction import Run
from proxy.queue.search_hours import kinds_of

_COUNTED_SINCE = "counted_since"
# Programs of the first layout, which counted nothing, may go on for a while beside the first that counts.
_BESIDE_MS = 2 * DAY_MS
WRITE_COUNTED_SINCE = f"""
INSERT INTO meta(key, number)
SELECT '{_COUNTED_SINCE}', CASE WHEN EXISTS (
    SELECT FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
      AND relkind = 'r' AND relname BETWEEN 'ledger_0' AND 'ledger_9a')
  THEN (extract(epoch FROM clock_timestamp()) * 1000)::int8 + {_BESIDE_MS} ELSE 0 END
ON CONFLICT DO NOTHING
"""  # noqa: S608 - our own names
"""Writes since which arrival all events are counted, in milliseconds: 0, unless the ledger has tables already."""
_COLUMNS = {"browser_copy": "fate"}
_MOST_HOURS = 100
_SINCE = f"SELECT number FROM meta WHERE key = '{_COUNTED_SINCE}'"  # noqa: S608 - our own name
# Goes back hour by hour, and through the kinds of each, by looks into an index; the first wanted kind ends the search.
_LATEST = f"""
SELECT h.at FROM generate_series($1::int4, $2::int4, -1) h(at) CROSS JOIN LATERAL (
  SELECT FROM {HOURS} r CROSS JOIN LATERAL (
    SELECT FROM rollup_kind k WHERE k.kind = r.kind AND {{condition}} OFFSET 0) k
  WHERE r.hour = h.at AND r.events <> 0 LIMIT 1) f
LIMIT 1
"""  # noqa: S608 - our own names


def statement(fields: Iterable[str]) -> str:
    """Return the SQL that finds the last hour with a kind whose fields have wanted texts: arguments from ``$3`` on."""
    parts = [f"k.{_COLUMNS.get(field, field)} = ANY(${number}::text[])" for number, field in enumerate(fields, 3)]
    return _LATEST.format(condition=" AND ".join(parts))


async def latest_arrival_bound(run: Run, wanted: Filter, before: int) -> int:
    """Return a moment, not after ``before``, such that no wanted event arrived between the two.

    At best that is the end of the last hour in which a wanted event arrived.

    Args:
        run: Runs statements of the page's transaction.
        wanted: The filter.
        before: Server clock in milliseconds.
    """
    kinds = kinds_of(wanted)
    counted = await run(_SINCE) if kinds else ()
    if not counted:
        return before
    lowest = max(int(counted[0]["number"]), wanted.since_ms or 0, before - _MOST_HOURS * HOUR_MS)
    texts = [[storable_text(each) for each in accepted] for accepted in kinds.values()]
    rows = await run(statement(kinds), before // HOUR_MS, lowest // HOUR_MS, *texts)
    return min(before, (rows[0]["at"] + 1) * HOUR_MS if rows else lowest)
