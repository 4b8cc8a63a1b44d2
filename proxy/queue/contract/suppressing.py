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
    """Suppresses people, and lifts suppressions."""

    async def suppress(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> None:
        """Durably refuse events about these people, also those that wait, and servers' events of orders they placed.

        Args:
            person_digests: 16 bytes each.
            kind: Why they are suppressed, which decides who may lift the suppression.
            at: Server clock in milliseconds.

        Raises:
            QueueError: when it was not stored.
        """

    async def lift(
        self, person_digests: Collection[bytes], kinds: Collection[SuppressionKind], at: int
    ) -> list[SuppressionKind]:
        """Durably end the suppressions of these kinds; return the kind of each that ended.

        Costs next to nothing for people without a suppression, that is for nearly everybody.

        Args:
            person_digests: 16 bytes each.
            kinds: Which kinds end.
            at: Server clock in milliseconds; suppressions that are younger stay.

        Raises:
            QueueError: when it was not stored.
        """

    async def suppressed(self, person_digests: Collection[bytes]) -> set[SuppressionKind]:
        """Return the kinds of suppression that people have; as cheap as ``lift`` for people without any."""
