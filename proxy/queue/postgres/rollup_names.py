"""The event names that the rollups tell apart: a bounded number for each pixel and day of arrival.

A name is told apart if it is in the table ``rollup_name``, whichever proxy added it; events with any other name are
counted as ``OTHER``. A day's names are not deleted while its rollups can change, so that an event that was counted
under a name is found under it again. Two proxies that add the last names at the same moment may exceed the bound by a
few.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from proxy.model.rollup import OTHER, RollupKey
from proxy.queue.postgres.transaction import Run

MOST_NAMES = 100
"""Names that are told apart of a pixel and day."""
_DAY_HOURS = 24
# Pairs of day and pixel that are remembered, at most; after an outage, events of a week may come.
_MOST_CACHED = 500
_KNOWN = """
SELECT n.day, n.pixel, n.name FROM unnest($1::int4[], $2::text[]) u(day, pixel)
JOIN rollup_name n ON n.day = u.day AND n.pixel = u.pixel
"""
_INSERT = """
INSERT INTO rollup_name SELECT * FROM unnest($1::int4[], $2::text[], $3::text[]) u(day, pixel, name)
ORDER BY day, pixel, name ON CONFLICT DO NOTHING
"""
_Place: TypeAlias = tuple[int, str]


class Names(NamedTuple):
    """Which names are told apart, of the days and pixels that were asked for."""

    told_apart: Mapping[_Place, Collection[str]]

    def of(self, key: RollupKey) -> RollupKey:
        """Return a key as it is counted: with the name ``OTHER`` if its own is not told apart."""
        return key if key.name in self.told_apart.get(_place(key), ()) else key._replace(name=OTHER)


class SharedNames:
    """Remembers names that were seen in the table."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._known: dict[_Place, frozenset[str]] = {}

    def known_names(self, keys: Iterable[RollupKey]) -> Names | None:
        """Return the names from memory, or None if the table must be read since it may have more or take more."""
        if any(self._is_new(key) for key in keys):
            return None
        return Names(self._known)

    def _is_new(self, key: RollupKey) -> bool:
        known = self._known.get(_place(key))
        return known is None or (key.name not in known and len(known) < self._most)

    async def add_names(self, run: Run, keys: Collection[RollupKey]) -> Names:
        """Return the names for a transaction; it adds new ones, in the order of ``keys``, while there is room."""
        if not any(self._is_new(key) for key in keys):
            return Names(self._known)
        if len(self._known) > _MOST_CACHED:
            self._known = {}
        new = [key for key in keys if self._is_new(key)]
        await self._look(run, {_place(key) for key in new})
        added: dict[_Place, set[str]] = {}
        for key in new:
            names = added.setdefault(_place(key), set(self._known[_place(key)]))
            if len(names) < self._most:
                names.add(key.name)
        await self._insert(run, added)
        # Names that this transaction adds are remembered once they are found in the table: it may be rolled back.
        return Names({**self._known, **added})

    async def _look(self, run: Run, places: Collection[_Place]) -> None:
        days, pixels = zip(*sorted(places), strict=True)
        found: dict[_Place, set[str]] = {place: set() for place in places}
        for day, pixel, name in await run(_KNOWN, list(days), list(pixels)):
            found[day, pixel].add(name)
        self._known |= {place: frozenset(names) for place, names in found.items()}

    async def _insert(self, run: Run, added: Mapping[_Place, Collection[str]]) -> None:
        rows = [
            (day, pixel, name) for (day, pixel), names in added.items() for name in set(names) - self._known[day, pixel]
        ]
        if rows:
            await run(_INSERT, *map(list, zip(*rows, strict=True)))


def _place(key: RollupKey) -> _Place:
    return key.hour // _DAY_HOURS, key.pixel
