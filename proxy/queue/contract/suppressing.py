"""Suppressing people: asked by the public listener for visitors, and by the operator."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from proxy.model.suppression import SuppressionKind


@dataclass(frozen=True, slots=True)
class Suppression:
    """Nothing more is sent about a person: an opt-out, a withdrawal of consent or an erasure that is remembered."""

    digest: bytes
    """16 bytes that say nothing without the installation's secret."""
    kind: SuppressionKind
    at: int
    """Server clock in milliseconds."""


class Suppressing(Protocol):
    """Suppresses people, and lifts that."""

    async def suppress(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        """Durably refuse what is about these people, also what waits, and what servers tell of orders they placed.

        Args:
            person_digests: 16 bytes each.
            kind: Who asked for it, and so who may lift it.
            at: Server clock in milliseconds.

        Raises:
            QueueError: when it was not stored.
        """

    async def lift(
        self, person_digests: Collection[bytes], kinds: Collection[SuppressionKind], at: int
    ) -> list[SuppressionKind]:
        """Durably end the suppressions of these kinds; return the kind of each that ended.

        Costs next to nothing when there are none, which is so for nearly everybody.

        Args:
            person_digests: 16 bytes each.
            kinds: Which kinds end.
            at: Server clock in milliseconds; suppressions that are younger stay.

        Raises:
            QueueError: when it was not stored.
        """

    async def suppressed(self, person_digests: Collection[bytes]) -> set[SuppressionKind]:
        """Return the kinds of suppression that people have; at the cost of ``lift``."""
