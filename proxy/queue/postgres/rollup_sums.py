"""Rollups added up over a period, by the database: of tens of thousands of rows it returns only a few sums.

For most kinds only the number of events is wanted; all other columns are wanted only for kinds whose server copy
reached Meta. Everything is read as of one moment, since otherwise the buckets might not add up to the total.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from proxy.model.event_facts import MATCH_KEYS
from proxy.model.rollup import Rollup, RollupKey
from proxy.model.rollup_sums import PeriodQuery, PeriodSums, in_bucket, reached_meta
from proxy.queue.postgres.rollup_table import AMOUNT, DAYS, EVENTS, HOURS, LAGGED, MATCHED, SUMS, VALUED
from proxy.queue.postgres.rollups import NumberedKind, kinds_of
from proxy.queue.postgres.transaction import Run
from proxy.queue.rollup_plan import EARLIER_PERIOD, RollupPlan, plan_of

_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
# Each hour or day is a look into the index. Then all rows are added up twice: by bucket, and by kind.
_ADDED = f"""
SELECT {{sums}}, p.slot, f.place, p.kind, p.slot = {EARLIER_PERIOD} AS is_before
FROM (
  SELECT h.slot, t.* FROM unnest($1::int4[], $2::int4[]) h(at, slot) JOIN {HOURS} t ON t.hour = h.at
  UNION ALL
  SELECT d.slot, t.* FROM unnest($3::int4[], $4::int4[]) d(at, slot) JOIN {DAYS} t ON t.hour = d.at
) p JOIN unnest($5::int8[], $6::int4[]) f(kind, place) ON f.kind = p.kind
WHERE p.events <> 0
GROUP BY GROUPING SETS ((p.slot, f.place), (p.kind, p.slot = {EARLIER_PERIOD}))
"""  # noqa: S608 - our own names
_SUMS = ", ".join(f"sum(p.{name})::{kind} AS {name}" for name, kind in SUMS)
_WITH_COUNTS, _EVENTS = _ADDED.format(sums=_SUMS), _ADDED.format(sums=f"sum(p.{EVENTS})::int8 AS {EVENTS}")


class _BucketPlace(NamedTuple):
    """What the sums within a bucket are grouped by."""

    key: RollupKey
    currency: str


class AddedRows(NamedTuple):
    """What the database added up."""

    kinds: Mapping[int, NumberedKind]
    places: Sequence[_BucketPlace]
    events: Sequence[Any]
    """Sums of the kinds of which only the number of events is wanted."""
    counts: Sequence[Any]
    """Sums of all columns, of the other kinds."""


async def read_sums(run: Run, wanted: PeriodQuery) -> AddedRows:
    """Let the database add up the rollups of a period, within a transaction that has read nothing yet."""
    await run(_ONE_MOMENT)
    plan = plan_of(wanted)
    kinds = await kinds_of(run, wanted, plan.hours, plan.days)
    places = {number: _place(kind, wanted.priced) for number, kind in kinds.items()}
    numbers = {place: number for number, place in enumerate(dict.fromkeys(places.values()))}
    reached: dict[int, int] = {}
    others: dict[int, int] = {}
    for number, place in places.items():
        (reached if reached_meta(place.key.status, place.key.reason) else others)[number] = numbers[place]
    rows = [await _added(run, text, plan, some) for text, some in ((_EVENTS, others), (_WITH_COUNTS, reached))]
    return AddedRows(kinds, list(numbers), *rows)


def _place(kind: NumberedKind, priced: str) -> _BucketPlace:
    key = in_bucket(kind.key, 0, priced)
    return _BucketPlace(key, kind.currency if key.name else "")


async def _added(run: Run, statement: str, plan: RollupPlan, places: Mapping[int, int]) -> Sequence[Any]:
    if not places:
        return ()
    times = (list(part) for slots in plan for part in (slots.keys(), slots.values()))
    return await run(statement, *times, list(places.keys()), list(places.values()))


def sums_of(rows: AddedRows, wanted: PeriodQuery) -> PeriodSums:
    """Return as rollups what the database added up; needs no database."""
    sums = PeriodSums([], [], [])
    starts = [span.since for span in wanted.buckets]
    first = wanted.before.since if wanted.before else 0
    for row in (*rows.events, *rows.counts):
        if row["kind"] is None:
            if row["slot"] != EARLIER_PERIOD:
                place = rows.places[row["place"]]
                hour = starts[row["slot"] - 1]
                sums.buckets.append(_rollup(row, place.key._replace(hour=hour), place.currency))
            continue
        kind = rows.kinds[row["kind"]]
        part, hour = (sums.before, first) if row["is_before"] else (sums.total, wanted.since)
        part.append(_rollup(row, kind.key._replace(hour=hour), kind.currency))
    return sums


def _rollup(row: Any, key: RollupKey, currency: str) -> Rollup:
    if not reached_meta(key.status, key.reason):
        return Rollup(key, row[EVENTS], {}, {}, ())
    values = {currency: (row[VALUED], int(row[AMOUNT] or 0))} if row[VALUED] and currency else {}
    keys = {word: count for word, name in zip(MATCH_KEYS, MATCHED, strict=False) if (count := row[name])}
    return Rollup(key, row[EVENTS], values, keys, tuple([row[name] or 0 for name in LAGGED]))
