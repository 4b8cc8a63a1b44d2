"""How long the access tokens live: asked of Graph rarely, and told before they end."""

import asyncio
from collections.abc import Callable, Mapping

from proxy.background import repeated
from proxy.delivery.client import GraphClient
from proxy.delivery.lane import Lane
from proxy.graph.token_health import TokenHealth
from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard
from proxy.model.units import DAY_MS

_FIRST_S = 60.0
"""After the start; who restarts again and again asks nothing."""
_LOOK_S = 60.0
_EVERY_MS = DAY_MS // 2
_AGAIN_MS = 60 * 60_000
"""After an answer that says nothing, and for whoever asks on the dashboard."""
_WARNED_MS = 14 * DAY_MS


class TokenWatch:
    """Knows what Graph said last of the token of each pixel."""

    def __init__(
        self, lanes: Mapping[str, Lane], *, graph: GraphClient, conditions: ConditionBoard, now: Callable[[], int]
    ) -> None:
        """Know nothing yet.

        Args:
            lanes: By pixel id.
            graph: Is asked.
            conditions: Hear of ``token_expiring``.
            now: Server clock in milliseconds.
        """
        self._lanes = lanes
        self._graph = graph
        self._conditions = conditions
        self._now = now
        self._known: dict[str, TokenHealth] = {}
        self._turn = asyncio.Lock()

    async def health(self, pixel: str) -> TokenHealth:
        """Return how a token stands, asked of Graph unless that was done within the hour."""
        async with self._turn:
            if self._is_older_than(pixel, _AGAIN_MS):
                await self._ask(pixel)
        return self._known[pixel]

    def known(self, pixel: str) -> TokenHealth:
        """Return how a token stood when Graph was last asked."""
        return self._known.get(pixel, TokenHealth())

    async def run(self) -> None:
        """Ask for each token that this process uses, twice a day."""
        await asyncio.sleep(_FIRST_S)
        await repeated(self._look, every_s=_LOOK_S, what="the watch over tokens")

    async def _look(self) -> None:
        for pixel, lane in self._lanes.items():
            async with self._turn:
                if lane.is_led and self._is_older_than(pixel, self._pause(pixel)):
                    await self._ask(pixel)

    def _pause(self, pixel: str) -> int:
        return _EVERY_MS if self.known(pixel).is_valid is not None else _AGAIN_MS

    def _is_older_than(self, pixel: str, age: int) -> bool:
        asked_at = self.known(pixel).asked_at
        return asked_at is None or not 0 <= self._now() - asked_at < age

    async def _ask(self, pixel: str) -> None:
        health = await self._graph.token_health(self._lanes[pixel].pixel)
        self._known[pixel] = health
        # Events may be sent when the access to people's data is over, so that is shown, and no condition.
        left = None if health.expires_at is None else health.expires_at - self._now()
        if left is not None and left < _WARNED_MS:
            self._conditions.report("token_expiring", pixel, details.token_ends(left // DAY_MS))
        else:
            self._conditions.clear("token_expiring", pixel)
