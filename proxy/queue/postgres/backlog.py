"""How many events wait, by lane: kept in memory, so that reading it costs nothing.

The leader of a lane counts its events now and then, as often as that costs next to nothing, and writes the figures into
the table of lanes, from where every other process reads them with its beat. Between two counts each process adds what
it does itself. So the figures are exact where there is only one process, and a moment old where there are several.
"""

from collections import Counter
from collections.abc import Collection, Mapping

from proxy.model.event import DropReason
from proxy.queue.contract import Oldest, Stats
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.lane_table import LaneCounts, Row

COUNT = """
SELECT lane, sum(n)::int8 AS waiting, coalesce(sum(n) FILTER (WHERE not_before > 0), 0)::int8 AS held,
  coalesce(sum(n) FILTER (WHERE suspect <> 0 AND not_before = 0), 0)::int8 AS suspects,
  min(not_before) FILTER (WHERE not_before > 0) AS next_due
FROM segment WHERE lane = ANY($1::text[]) GROUP BY lane
"""
ALL_LANES = """
WITH RECURSIVE found(lane) AS (
  SELECT (SELECT min(lane) FROM segment)
  UNION ALL
  SELECT (SELECT min(s.lane) FROM segment s WHERE s.lane > found.lane) FROM found WHERE found.lane IS NOT NULL)
SELECT lane FROM found WHERE lane IS NOT NULL
"""
"""Finds the lanes that have segments, by one look into the index for each lane."""
_DUE = "FROM segment s WHERE s.lane = asked.lane AND s.not_before = 0 AND s.fields"
OLDEST = f"""
WITH RECURSIVE asked(lane) AS (SELECT * FROM unnest($1::text[])),
found(lane, fields) AS (
  SELECT lane, (SELECT s.fields {_DUE} >= '' ORDER BY s.fields LIMIT 1) FROM asked
  UNION ALL
  SELECT lane, (SELECT s.fields {_DUE} > asked.fields ORDER BY s.fields LIMIT 1) FROM found asked
  WHERE asked.fields IS NOT NULL)
SELECT lane,
  min((SELECT at {_DUE} = asked.fields AND suspect = 0 AND id <> ALL($2::uuid[]) ORDER BY at, id LIMIT 1)) AS fresh,
  min((SELECT min(at) {_DUE} = asked.fields AND (suspect > 0 OR suspect < 0) AND id <> ALL($2::uuid[]))) AS suspect
FROM found asked WHERE fields IS NOT NULL GROUP BY lane
"""  # noqa: S608 - our own text
_NOTHING = LaneCounts()


class SharedBacklog:
    """Figures by lane; used on the event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: dict[str, LaneCounts] = {}
        self._changes: Counter[str] = Counter()
        """How often a lane's figures were changed by this process."""
        self.withheld: Counter[DropReason] = Counter()
        """Events since start that waited and were dropped."""

    def counts(self, lane: str) -> LaneCounts:
        """Return how much waits in a lane."""
        return self._counts.get(lane, _NOTHING)

    @property
    def total(self) -> int:
        """How many events wait in all lanes."""
        return sum(counts.waiting for counts in self._counts.values())

    def add(self, lane: str, *, waiting: int = 0, held: int = 0, suspects: int = 0, due: int | None = None) -> None:
        """Change figures of a lane by what this process did.

        Args:
            lane: Which lane.
            waiting: By how many the waiting events changed; negative if they became fewer.
            held: By how many the held ones among them changed.
            suspects: By how many the suspects among them changed.
            due: When newly held events become due, or a moment before that.
        """
        old = self.counts(lane)
        moments = [moment for moment in (old.next_due, due) if moment is not None]
        figures = (old.waiting + waiting, old.held + held, old.suspects + suspects)
        n, held_n, suspects_n = (max(0, each) for each in figures)
        self._put(lane, LaneCounts(n, held_n, suspects_n, min(moments, default=None)))
        self._changes[lane] += 1

    def put_due(self, lane: str, due: int | None) -> None:
        """Correct when the next held segment of a lane is due."""
        self._put(lane, self.counts(lane)._replace(next_due=due))

    def adopt_counts(self, rows: Mapping[str, Row], led: Collection[str]) -> None:
        """Take over what other processes counted in the lanes that they lead, as the last beat read it."""
        for lane, row in rows.items():
            if lane not in led and row["leader"] is not None:
                self._put(lane, LaneCounts(row["waiting"], row["held"], row["suspects"], row["next_due"]))

    def _put(self, lane: str, counts: LaneCounts) -> None:
        if counts.waiting:
            self._counts[lane] = counts
        else:
            self._counts.pop(lane, None)

    async def count(self, lanes: Collection[str]) -> dict[str, LaneCounts]:
        """Count what waits in lanes; return the counts of those lanes that this process did not change meanwhile.

        Raises:
            QueueError: when there is no answer.
        """
        before = {lane: self._changes[lane] for lane in lanes}
        rows = await self._database.run(Role.BOOKS, COUNT, sorted(lanes))
        found = dict.fromkeys(lanes, _NOTHING)
        found |= {row["lane"]: LaneCounts(*row[1:]) for row in rows}
        still = {lane: counts for lane, counts in found.items() if self._changes[lane] == before[lane]}
        for lane, counts in still.items():
            self._put(lane, counts)
        return still

    async def all_lanes(self) -> list[str]:
        """Return the lanes that have segments.

        Raises:
            QueueError: when there is no answer.
        """
        return [row["lane"] for row in await self._database.run(Role.BOOKS, ALL_LANES)]

    def stats(self) -> Stats:
        """See ``Backlog``; without what other parts count."""
        counts = self._counts
        return Stats(
            {lane: each.waiting for lane, each in counts.items()},
            0,
            dict(self.withheld),
            suspects={lane: each.suspects for lane, each in counts.items() if each.suspects},
            held={lane: each.held for lane, each in counts.items() if each.held},
            next_due=min((each.next_due for each in counts.values() if each.next_due is not None), default=None),
        )

    async def oldest(self, pixels: Collection[str], damaged: Collection[object]) -> dict[str, Oldest]:
        """Return since when events wait; see ``Backlog``.

        Args:
            pixels: Their ids.
            damaged: Ids of segments that are left out, since they cannot be opened.

        Raises:
            QueueError: when there is no answer.
        """
        rows = await self._database.run(Role.BOOKS, OLDEST, sorted(pixels), list(damaged))
        found = {row["lane"]: Oldest(row["fresh"], row["suspect"]) for row in rows}
        return {pixel: found.get(pixel, Oldest()) for pixel in pixels}
