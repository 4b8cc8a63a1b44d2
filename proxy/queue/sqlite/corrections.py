"""The operator's changes to what is kept: replays, discards, erasures; within transactions that others start."""

from collections.abc import Collection, Sequence

from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Remainder
from proxy.queue.refusal import REASONS
from proxy.queue.sqlite.sweeps import Sweeps
from proxy.queue.sqlite.tables import Tables


class Corrections:
    """Puts dead letters back, and removes what must go, a slice at a time."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._sweeps = Sweeps(tables.segments)

    def replay(self, ids: Sequence[int], not_before_s: int) -> int:
        """Put dead letters back to be delivered, except those whose events are too old; return how many.

        Too old are events that age from before ``not_before_s``; see ``Archive.replay``.
        """
        taken = self._tables.dead.take(ids, not_before_s)
        for pixel in {letter.record.pixel for letter in taken}:
            records = tuple(letter.record for letter in taken if letter.record.pixel == pixel)
            self._tables.segments.insert(Remainder(pixel, 0, 0, records))
        self._tables.ledger.mark_letters_replayed(taken)
        self._tables.counts.dead.add("", -len(taken))
        return len(taken)

    def discard(self, ids: Sequence[int]) -> int:
        """Remove dead letters; return how many there were."""
        count = self._tables.dead.discard(ids)
        self._tables.counts.dead.add("", -count)
        return count

    def suppress(self, person_digests: Collection[bytes], kind: SuppressionKind, at: int) -> bool:
        """Suppress people, and forbid the first slice of their sightings; tell whether ``forbid`` may find more.

        Args:
            person_digests: 16 bytes each.
            kind: Why they are suppressed.
            at: Server clock in milliseconds.
        """
        self._tables.suppressions.add(person_digests, kind, at)
        return self.forbid(person_digests, kind)

    def forbid(self, person_digests: Collection[bytes], kind: SuppressionKind) -> bool:
        """Forbid a slice of people's sightings, or for an erasure remove it; tell whether there may be more.

        Until a sighting has been dealt with here, the suppression itself keeps it from being used (pending.py).
        """
        sightings = self._tables.sightings
        if kind is SuppressionKind.ERASURE:
            return sightings.erase(person_digests)
        return sightings.forbid(person_digests, REASONS[kind])

    def erase_waiting(self, person_digests: Collection[bytes], after: int) -> tuple[int, int]:
        """Remove a slice of what waits about people; see ``Sweeps.erase``."""
        return self._sweeps.erase(person_digests, after)

    def erase_dead(self, person_digests: Collection[bytes], after: int) -> tuple[int, int]:
        """Remove a slice of the dead letters about people; see ``DeadLetters.erase``."""
        count, last = self._tables.dead.erase(person_digests, after)
        self._tables.counts.dead.add("", -count)
        return count, last
