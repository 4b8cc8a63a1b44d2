"""The rollups of the shared queue: raised in the transactions that write the rows they count, read by hour or day."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from proxy.model.event_facts import MATCH_KEYS
from proxy.model.ledger import Status
from proxy.model.rollup import Rollup, RollupKey, RollupQuery, key_of
from proxy.model.rollup_sums import PeriodQuery
from proxy.queue.postgres.ledger_rows import storable_text
from proxy.queue.postgres.rollup_changes import DAY_HOURS, Changes, CountedRow, changes, cleaned
from proxy.queue.postgres.rollup_kinds import SharedKinds
from proxy.queue.postgres.rollup_names import SharedNames
from proxy.queue.postgres.rollup_table import DAYS, HOURS, KIND, MATCHED, RAISE_DAYS, RAISE_HOURS, SUMS
from proxy.queue.postgres.transaction import Run

_MOST_HOUR = (1 << 31) - 1
_SUMS = ", ".join(f"r.{name}" for name, _ in SUMS)
_KIND = ", ".join(f"k.{name}" for name in KIND)
_WITHOUT_CURRENCY = ", ".join(f"k.{name}" for name in KIND[:-1])
_READ = """
SELECT r.hour, {kind}, {sums} FROM {table} r JOIN rollup_kind k ON k.kind = r.kind
WHERE r.hour >= $1 AND r.hour < $2{condition} ORDER BY r.hour, r.kind
"""
_COUNT = """
SELECT max(r.hour) AS hour, sum(r.events)::int8 AS events, {kind} FROM (
  SELECT kind, max(hour) AS hour, sum(events) AS events FROM {table}
  WHERE hour >= $1 AND hour < $2 AND events <> 0 GROUP BY kind) r
JOIN rollup_kind k ON k.kind = r.kind WHERE true{condition} GROUP BY {kind}
"""
_KINDS = f"""
SELECT k.kind AS number, {{kind}} FROM (
  SELECT t.kind FROM unnest($1::int4[]) h(at) JOIN {HOURS} t ON t.hour = h.at
  UNION
  SELECT t.kind FROM unnest($2::int4[]) d(at) JOIN {DAYS} t ON t.hour = d.at) r
JOIN rollup_kind k ON k.kind = r.kind WHERE true{{condition}}
"""  # noqa: S608 - our own names
# In a row that was read: where its sums begin, and where among the sums those of match keys and of lag begin.
_FIRST_SUM, _FIRST_MATCHED = 1 + len(KIND), 3
_FIRST_LAGGED = _FIRST_MATCHED + len(MATCHED)


class SharedRollups:
    """Counts rows of the ledger in the rollups."""

    def __init__(self) -> None:
        self._names = SharedNames()
        self._kinds = SharedKinds()

    def plain_changes(self, counted: Sequence[CountedRow]) -> Changes | None:
        """Return the changes by rows, if all their names and kinds are known to be in the tables; otherwise None."""
        names = self._names.known_names({cleaned(key_of(each.row)) for each in counted})
        found = changes(counted, names.of) if names else None
        return found if found and self._kinds.has(found.kinds) else None

    async def count(self, run: Run, counted: Sequence[CountedRow]) -> None:
        """Count rows; to be called once, at the end of the transaction that writes them."""
        if not counted:
            return
        names = await self._names.add_names(run, dict.fromkeys(cleaned(key_of(each.row)) for each in counted))
        found = changes(counted, names.of)
        await self._kinds.add(run, found.kinds)
        await run(RAISE_HOURS, found.hours)
        await run(RAISE_DAYS, found.days)


async def read_rows(run: Run, wanted: RollupQuery) -> Sequence[Any]:
    """Return the wanted rows, as ``rollups_of`` takes them."""
    since, table = wanted.since_hour, HOURS
    if wanted.by_day:
        since, table = since - since % DAY_HOURS, DAYS
    condition, texts = _condition(wanted.site, wanted.pixel, wanted.name, first=3)
    sql = _READ.format(kind=_KIND, sums=_SUMS, table=table, condition=condition)
    return await run(sql, _bounded(since), _bounded(wanted.until_hour), *texts)


async def event_counts(run: Run, wanted: RollupQuery) -> list[Rollup]:
    """Return how many events of each kind there are, with the last hour in which each kind had any.

    Args:
        run: Runs the statement.
        wanted: Which events.
    """
    since, table = wanted.since_hour, HOURS
    if wanted.by_day:
        since, table = since - since % DAY_HOURS, DAYS
    condition, texts = _condition(wanted.site, wanted.pixel, wanted.name, first=3)
    sql = _COUNT.format(kind=_WITHOUT_CURRENCY, table=table, condition=condition)
    found = await run(sql, _bounded(since), _bounded(wanted.until_hour), *texts)
    return [Rollup(_key(row["hour"], row), row["events"], {}, {}, ()) for row in found]


class NumberedKind(NamedTuple):
    """What a kind's number stands for."""

    key: RollupKey
    """Its hour is always 0, and has no meaning."""
    currency: str


async def kinds_of(
    run: Run, wanted: PeriodQuery, hours: Collection[int], days: Collection[int]
) -> dict[int, NumberedKind]:
    """Return the kinds of wanted events by their numbers.

    Only those that occur in these hours and days: the table of kinds may be large, since anybody can make up names.

    Args:
        run: Runs the statement.
        wanted: Which events.
        hours: The hours that are read.
        days: The days that are read, by their first hours.
    """
    condition, texts = _condition(wanted.site, wanted.pixel, wanted.name, first=3)
    found = await run(_KINDS.format(kind=_KIND, condition=condition), list(hours), list(days), *texts)
    return {row["number"]: NumberedKind(_key(0, row), row["currency"]) for row in found}


def _condition(site: str, pixel: str, name: str, *, first: int) -> tuple[str, list[str]]:
    """Return an SQL condition for the wanted kinds, and its values; ``first`` is the number of its first argument."""
    fields = {"site": site, "pixel": pixel, "name": name}
    texts = {column: storable_text(value) for column, value in fields.items() if value}
    sql = "".join(f" AND k.{column} = ${number}" for number, column in enumerate(texts, first))
    return sql, list(texts.values())


def _key(hour: int, row: Any) -> RollupKey:
    site, pixel, name, status, reason, browser_copy = (row[column] for column in KIND[:-1])
    return RollupKey(hour, site, pixel, name, Status(status), reason, browser_copy)


def _bounded(hour: int) -> int:
    return max(0, min(hour, _MOST_HOUR))


def rollups_of(found: Iterable[Any]) -> list[Rollup]:
    """Return the rollups that rows make up, in the order of their hours, without empty ones; needs no database."""
    together: dict[tuple[Any, ...], list[Any]] = {}
    for row in found:
        together.setdefault(row[: _FIRST_SUM - 1], []).append(row)
    return [rollup for key, some in together.items() for rollup in _rollup(key, some)]


def _rollup(key: tuple[Any, ...], rows: Sequence[Any]) -> Iterable[Rollup]:
    """Yield the rollup of rows that differ only in the currency of their values, if it has any events."""
    sums: Sequence[int | None] = rows[0][_FIRST_SUM:]
    if len(rows) > 1:
        sums = [sum(filter(None, column)) for column in zip(*(row[_FIRST_SUM:] for row in rows), strict=True)]
    if not sums[0]:
        return
    hour, site, pixel, name, status, reason, browser_copy = key
    matched = sums[_FIRST_MATCHED:_FIRST_LAGGED]
    yield Rollup(
        RollupKey(hour, site, pixel, name, Status(status), reason, browser_copy),
        sums[0],
        _values(rows),
        {word: count for word, count in zip(MATCH_KEYS, matched, strict=False) if count},
        tuple([count or 0 for count in sums[_FIRST_LAGGED:]]),
    )


def _values(rows: Sequence[Any]) -> Mapping[str, tuple[int, int]]:
    found = {}
    for row in rows:
        currency, _, valued, amount = row[_FIRST_SUM - 1 : _FIRST_SUM + 3]
        if valued:
            found[currency] = (valued, int(amount or 0))
    return found
