"""Tallies: small counts by hour of what no ledger row tells, such as refused origins.

They use the counters of the metrics, so that fronts report them to the back in the same way, but no metric shows them:
their subjects are too many for labels. About once a minute the new counts are stored in the queue.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from proxy.background import repeat_forever, run_in_background
from proxy.model.rollup import OTHER, Tally
from proxy.model.units import HOUR_MS
from proxy.queue.contract import QueueError
from proxy.telemetry.loop_counter import LoopCounter, LoopCounters

CONSENT, SIGNAL, TAG, REFUSED = "consent", "signal", "tag", "refused"
"""The kinds: consent of arriving events by source; events with a signal; loads of the tag by build; refused names."""
BETWEEN = "\t"
"""Separates the words of a subject; no word contains it."""
_SUBJECTS = 300
"""How many subjects of each kind a process tells apart, since strangers can make up some of them."""
_EVERY_S = 60.0


class TallyCounters:
    """The tallies of one process."""

    def __init__(self, counters: LoopCounters) -> None:
        """Add the tallies to ``counters``, which fronts report to the back."""
        self._counters = {kind: LoopCounter(f"tally_{kind}", "", ["subject"]) for kind in _KINDS}
        for counter in self._counters.values():
            counters.add(counter)
        self.consents = self._counters[CONSENT].counts
        """The tallies of consent by subject. Its words are settings and words of ours, so they need no bound."""

    def count(self, kind: str, *words: str, by: int = 1) -> None:
        """Count something.

        Args:
            kind: The kind of tally.
            *words: The words of the subject: names of ours, or plain host names.
            by: How many to add.
        """
        counter, subject = self._counters[kind], BETWEEN.join(words)
        known = counter.counts
        counter.inc(subject if (subject,) in known or len(known) < _SUBJECTS else OTHER, by=by)

    def totals(self) -> dict[tuple[str, str], int]:
        """Return all counts since the start, by kind and subject."""
        return {
            (kind, subject): int(count)
            for kind, counter in self._counters.items()
            for (subject,), count in counter.counts.items()
        }


_KINDS = (CONSENT, SIGNAL, TAG, REFUSED)


class TallyStore(Protocol):
    """Where tallies are stored."""

    async def add_tallies(self, tallies: Sequence[Tally]) -> None:
        """Add tallies to the stored ones."""


class TallyCollector:
    """Stores in the queue what was counted since the last time."""

    def __init__(self, counters: TallyCounters, store: TallyStore, now: Callable[[], int]) -> None:
        """Begin with nothing stored.

        Args:
            counters: The tallies of this process, to which those of its fronts are added.
            store: Where tallies are stored.
            now: Server clock in milliseconds.
        """
        self._counters = counters
        self._store = store
        self._now = now
        self._brought: dict[tuple[str, str], int] = {}

    async def store_tallies(self) -> None:
        """Store what was counted since the last success; after an error of the queue, the next call stores it too."""
        totals, hour = self._counters.totals(), self._now() // HOUR_MS
        news = [
            Tally(hour, kind, subject, total - self._brought.get((kind, subject), 0))
            for (kind, subject), total in totals.items()
            if total != self._brought.get((kind, subject), 0)
        ]
        if news:
            await self._store.add_tallies(news)
        self._brought = totals

    @asynccontextmanager
    async def collect_periodically(self) -> AsyncIterator[None]:
        """Store tallies once a minute until the context ends, and a last time then."""
        try:
            async with run_in_background(
                repeat_forever(self._try_to_store, every_s=_EVERY_S, what="the tallies"), "tallies"
            ):
                yield
        finally:
            await self._try_to_store()

    async def _try_to_store(self) -> None:
        with suppress(QueueError):
            await self.store_tallies()
