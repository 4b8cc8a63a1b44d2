"""How long the access tokens are valid: asks Graph rarely, and warns before they expire."""

import asyncio
from collections.abc import Callable, Mapping

from proxy.background import repeat_forever
from proxy.delivery.client import GraphClient
from proxy.delivery.lane import Lane
from proxy.graph.token_health import TokenHealth
from proxy.model import condition_details as details
from proxy.model.condition import ConditionBoard
from proxy.model.units import DAY_MS

_FIRST_S = 60.0
"""Seconds from the start to the first question, so that a proxy that restarts again and again asks nothing."""
_LOOK_S = 60.0
_EVERY_MS = DAY_MS // 2
_AGAIN_MS = 60 * 60_000
"""The least time between questions about a token: after an answer that says nothing, and from the dashboard."""
_WARNED_MS = 14 * DAY_MS


class TokenWatch:
    """Remembers Graph's latest answer about the access token of each pixel."""

    def __init__(
        self, lanes: Mapping[str, Lane], *, graph: GraphClient, conditions: ConditionBoard, now: Callable[[], int]
    ) -> None:
        """Begin without answers.

        Args:
            lanes: By pixel id.
            graph: The client that asks Graph.
            conditions: Are told of ``token_expiring``.
            now: Server clock in milliseconds.
        """
        self._lanes = lanes
        self._graph = graph
        self._conditions = conditions
        self._now = now
        self._known: dict[str, TokenHealth] = {}
        self._turn = asyncio.Lock()

    async def health(self, pixel: str) -> TokenHealth:
        """Return the health of a pixel's token; ask Graph for it unless that was done within the hour."""
        async with self._turn:
            if self._is_older_than(pixel, _AGAIN_MS):
                await self._ask(pixel)
        return self._known[pixel]

    def known_health(self, pixel: str) -> TokenHealth:
        """Return the health of a pixel's token when Graph was last asked; an empty one if it was not."""
        return self._known.get(pixel, TokenHealth())

    async def run(self) -> None:
        """Ask for each token that this process uses, twice a day."""
        await asyncio.sleep(_FIRST_S)
        await repeat_forever(self._look, every_s=_LOOK_S, what="the watch over tokens")

    async def _look(self) -> None:
        for pixel, lane in self._lanes.items():
            async with self._turn:
                if lane.is_led and self._is_older_than(pixel, self._pause(pixel)):
                    await self._ask(pixel)

    def _pause(self, pixel: str) -> int:
        return _EVERY_MS if self.known_health(pixel).is_valid is not None else _AGAIN_MS

    def _is_older_than(self, pixel: str, age: int) -> bool:
        asked_at = self.known_health(pixel).asked_at
        return asked_at is None or not 0 <= self._now() - asked_at < age

    async def _ask(self, pixel: str) -> None:
        health = await self._graph.token_health(self._lanes[pixel].pixel)
        self._known[pixel] = health
        # Events can be sent after a token's access to people's data has ended, so that end is shown but not reported.
        left = None if health.expires_at is None else health.expires_at - self._now()
        if left is not None and left < _WARNED_MS:
            self._conditions.report("token_expiring", pixel, details.token_ends(left // DAY_MS))
        else:
            self._conditions.clear("token_expiring", pixel)
