"""How delivery of each pixel stands with Graph: written by the lane's leader, and read by the next leader."""

from collections.abc import Sequence
from typing import Any

from proxy.queue.contract import DeliveryState
from proxy.queue.postgres import lane_table
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.leases import Leases


class LaneStates:
    """Reads and writes the delivery states of lanes."""

    def __init__(self, database: Database, leases: Leases) -> None:
        """Begin with no state in memory.

        Args:
            database: Where the states are.
            leases: Tell which lanes this process leads.
        """
        self._database = database
        self._leases = leases
        self._kept: dict[str, DeliveryState] = {}
        """The stored states of lanes that this process leads."""

    def forget(self, lane: str) -> None:
        """Forget how a lane stood: another process leads it from now on, or did until now."""
        self._kept.pop(lane, None)

    async def read(self, lane: str) -> DeliveryState:
        """Return how a lane stands, as its leader last wrote it.

        Raises:
            QueueError: when there is no answer.
        """
        term = self._leases.term(lane)
        if not term or lane not in self._kept:
            state = await lane_table.read_state(self._run, lane)
            if not term or self._leases.term(lane) != term:
                return state
            self._kept[lane] = state
        return self._kept[lane]

    async def keep(self, lane: str, state: DeliveryState) -> None:
        """Write how a lane stands, unless another process leads it.

        Raises:
            QueueError: when there is no answer.
        """
        if self._leases.request_lanes([lane]):
            await self._leases.beat()
        term = self._leases.term(lane)
        if term and state != self._kept.get(lane):
            await lane_table.keep_state(self._run, lane, self._database.replica, state)
            if self._leases.term(lane) == term:
                self._kept[lane] = state

    async def _run(self, statement: str, *arguments: object) -> Sequence[Any]:
        return await self._database.run(Role.DELIVER, statement, *arguments)
