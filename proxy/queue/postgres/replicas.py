"""Which proxies share the queue, and which of them delivers what, as their beats have told."""

from collections.abc import Mapping, Sequence

from proxy.queue.contract import LaneReport, Replica
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.lane_table import state_of

_MS = "(extract(epoch FROM {}) * 1000)::int8"
_REPLICAS = f"""
SELECT id, name, version, {_MS.format("started_at")} AS started_at, {_MS.format("seen_at")} AS seen_at,
  greatest(0, {_MS.format("now() - seen_at")}) AS silent_ms
FROM replica WHERE seen_at > now() - interval '1 day' ORDER BY name, id
"""  # noqa: S608 - our own text
# Whether a leader that was silent for long still delivers is not known here; its name says where to look.
_LANES = """
SELECT l.*, coalesce(r.name, '') AS name FROM lane l LEFT JOIN replica r ON r.id = l.leader WHERE l.lane NOT LIKE '@%'
"""


class SharedReplicas:
    """Reads the tables of beats and lanes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replicas(self) -> Sequence[Replica]:
        """See ``Replicas``."""
        rows = await self._database.run(Role.BOOKS, _REPLICAS)
        me = self._database.replica
        return [
            Replica(row["name"], row["version"], row["started_at"], row["seen_at"], row["silent_ms"], row["id"] == me)
            for row in rows
        ]

    async def lane_reports(self) -> Mapping[str, LaneReport]:
        """See ``Replicas``."""
        me = self._database.replica
        rows = await self._database.run(Role.BOOKS, _LANES)
        return {row["lane"]: LaneReport(row["name"], row["leader"] == me, state_of(row)) for row in rows}
