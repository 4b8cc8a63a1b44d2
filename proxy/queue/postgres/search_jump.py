"""How a search passes over what has nothing for it: to the last hour before a moment in which a wanted event came.

Rollups tell it of all that arrived since they count, which a row of ``meta`` says. Where they do not, since there are
too many kinds to look for or since it is too long ago, nothing is passed over.
"""

from proxy.model.units import DAY_MS, HOUR_MS
from proxy.queue.contract import Filter
from proxy.queue.postgres.ledger_rows import text
from proxy.queue.postgres.rollup_table import HOURS
from proxy.queue.postgres.transaction import Run
from proxy.queue.search_hours import kinds_of

_COUNTED_SINCE = "counted_since"
# Programs of the first layout, which counted nothing, may go on for a while beside the first that counts.
_BESIDE_MS = 2 * DAY_MS
COUNT = f"""
INSERT INTO meta(key, number)
SELECT '{_COUNTED_SINCE}', CASE WHEN EXISTS (
    SELECT FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
      AND relkind = 'r' AND relname BETWEEN 'ledger_0' AND 'ledger_9a')
  THEN (extract(epoch FROM clock_timestamp()) * 1000)::int8 + {_BESIDE_MS} ELSE 0 END
ON CONFLICT DO NOTHING
"""  # noqa: S608 - our own names
"""Says from which arrival on all is counted, in milliseconds: from the first, unless rows are there already."""
_COLUMNS = {"browser_copy": "fate"}
_MOST_KINDS, _MOST_HOURS = 500, 1000
_KINDS = f"SELECT kind FROM rollup_kind WHERE {{condition}} LIMIT {_MOST_KINDS + 1}"  # noqa: S608 - our own text
# Hour by hour: each is a few looks into the index, and the first that has something ends it.
_LATEST = f"""
SELECT h.at FROM generate_series($1::int4, $2::int4, -1) h(at) CROSS JOIN LATERAL (
  SELECT FROM {HOURS} r WHERE r.hour = h.at AND r.kind = ANY($3::int8[]) AND r.events <> 0 LIMIT 1) f
LIMIT 1
"""  # noqa: S608 - our own names


async def latest_with(run: Run, wanted: Filter, before: int) -> int:
    """Return a moment before which all wanted events came that came before another: at best a little behind the last.

    Args:
        run: Runs statements of the page's transaction.
        wanted: The filter.
        before: The other moment: server clock in milliseconds.
    """
    kinds = kinds_of(wanted)
    counted = await run("SELECT number FROM meta WHERE key = $1", _COUNTED_SINCE) if kinds else ()
    if not counted:
        return before
    texts = [[text(each) for each in accepted] for accepted in kinds.values()]
    condition = " AND ".join(
        f"{_COLUMNS.get(field, field)} = ANY(${number}::text[])" for number, field in enumerate(kinds, 1)
    )
    numbers = [row["kind"] for row in await run(_KINDS.format(condition=condition), *texts)]
    if len(numbers) > _MOST_KINDS:
        return before
    lowest = max(int(counted[0]["number"]), wanted.since_ms or 0)
    if numbers:
        lowest = max(lowest, before - _MOST_HOURS * HOUR_MS)
    hours = before // HOUR_MS, lowest // HOUR_MS
    rows = await run(_LATEST, *hours, numbers) if numbers else ()
    return min(before, (rows[0]["at"] + 1) * HOUR_MS if rows else lowest)
