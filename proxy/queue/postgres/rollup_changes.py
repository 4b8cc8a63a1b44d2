"""The changes that ledger rows make in the rollups, as JSON for rollup_table.py: objects with a member per column."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple, TypeAlias

import orjson

from proxy.model.ledger import LedgerRow
from proxy.model.rollup import RollupKey, key_of
from proxy.queue.postgres.ledger_rows import storable_text
from proxy.queue.postgres.rollup_kinds import RollupKind, kind_of, number_of
from proxy.queue.postgres.rollup_table import AMOUNT, EVENTS, LAGGED, MATCHED, VALUED
from proxy.queue.rollup_counts import RollupShare, share_of

DAY_HOURS = 24
Named: TypeAlias = Callable[[RollupKey], RollupKey]
"""Returns a key as it is counted, with a name that is told apart or ``OTHER``."""
_Sums: TypeAlias = Mapping["_CountedPlace", Counter[str]]


class _CountedPlace(NamedTuple):
    """The rollup row in which something is counted, and ``CountedRow.place``."""

    place: int
    hour: int
    kind: RollupKind


class CountedRow(NamedTuple):
    """A row of the ledger that is counted, or, if ``sign`` is -1, is no longer counted."""

    row: LedgerRow
    sign: int = 1
    place: int = 0
    """The place of the segment whose deletion it depends on; see settling.py."""


class _Alike(NamedTuple):
    """What rows have in common that change a rollup in the same way."""

    place: int
    key: RollupKey
    share: RollupShare


class Changes(NamedTuple):
    """The arguments of the two statements, and which kinds must be there before."""

    hours: str
    days: str
    kinds: Collection[RollupKind]


def changes(counted: Iterable[CountedRow], named: Named) -> Changes:
    """Return the changes that rows make in the rollups.

    Args:
        counted: The rows.
        named: Bounds the number of names.
    """
    alike: Counter[_Alike] = Counter()
    for row, sign, place in counted:
        alike[_Alike(place, key_of(row), share_of(row))] += sign
    hours: dict[_CountedPlace, Counter[str]] = {}
    for (place, key, share), times in alike.items():
        currency = "" if share.value is None else storable_text(share.currency)
        kind = kind_of(named(cleaned(key)), currency)
        _add(hours.setdefault(_CountedPlace(place, key.hour, kind), Counter()), share, times)
    return Changes(_json(hours), _json(_by_day(hours)), {place.kind for place in hours})


def cleaned(key: RollupKey) -> RollupKey:
    """Return a key as the database can hold it."""
    return key._replace(
        site=storable_text(key.site),
        pixel=storable_text(key.pixel),
        name=storable_text(key.name),
        reason=storable_text(key.reason),
    )


def _add(columns: Counter[str], share: RollupShare, times: int) -> None:
    events = times * share.events
    columns[EVENTS] += events
    columns[LAGGED[share.slot]] += events
    for place, name in enumerate(MATCHED[: share.match_keys.bit_length()]):
        if share.match_keys >> place & 1:
            columns[name] += events
    if share.value is not None:
        columns[VALUED] += times
        columns[AMOUNT] += times * share.value


def _by_day(hours: _Sums) -> _Sums:
    days: dict[_CountedPlace, Counter[str]] = {}
    for place, columns in hours.items():
        day = place._replace(hour=place.hour - place.hour % DAY_HOURS)
        days.setdefault(day, Counter()).update(columns)
    return days


def _json(changed: _Sums) -> str:
    entries = [
        {
            **{name: count for name, count in columns.items() if count},
            "place": place,
            "hour": hour,
            "kind": number_of(kind),
        }
        for (place, hour, kind), columns in changed.items()
        if any(columns.values())
    ]
    return orjson.dumps(entries).decode()
