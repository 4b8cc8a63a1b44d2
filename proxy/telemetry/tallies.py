"""Small counts with words: what no ledger row tells, kept by the hour.

They are counted beside the metrics, so that fronts tell them to the back as they tell those, but no metric shows them:
their words are too many for labels. About once a minute what was counted goes to the queue.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from proxy.background import in_background, repeated
from proxy.model.rollup import OTHER, Tally
from proxy.model.units import HOUR_MS
from proxy.queue.contract import QueueError
from proxy.telemetry.loop_counter import LoopCounter, LoopCounters

CONSENT, SIGNAL, TAG, REFUSED = "consent", "signal", "tag", "refused"
"""Kinds: consent of arriving events by its source; events with a signal; loads of the tag by build; refused origins."""
BETWEEN = "\t"
"""Stands between the words of a subject, none of which has it."""
_SUBJECTS = 300
"""Of each kind that a process tells apart; strangers can make up some of them."""
_EVERY_S = 60.0


class TallyCounters:
    """Counts of one process."""

    def __init__(self, counters: LoopCounters) -> None:
        """Count beside others, which fronts tell to the back."""
        self._counters = {kind: LoopCounter(f"tally_{kind}", "", ["subject"]) for kind in _KINDS}
        for counter in self._counters.values():
            counters.add(counter)
        self.consents = self._counters[CONSENT].counts
        """What is counted of consent, by the subject alone. Its words are settings and ours, so it needs no bound."""

    def count(self, kind: str, *words: str, by: int = 1) -> None:
        """Count something.

        Args:
            kind: What kind of thing.
            *words: Which thing: names of ours, or what was found to be a plain host name.
            by: How many.
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
    """Keeps tallies."""

    async def add_tallies(self, tallies: Sequence[Tally]) -> None:
        """Add to the counts that are kept."""


class TallyCollector:
    """Brings to the queue what was counted since the last time."""

    def __init__(self, counters: TallyCounters, store: TallyStore, now: Callable[[], int]) -> None:
        """Take from where to where.

        Args:
            counters: Of this process, to which its fronts add theirs.
            store: Where they are kept.
            now: Server clock in milliseconds.
        """
        self._counters = counters
        self._store = store
        self._now = now
        self._brought: dict[tuple[str, str], int] = {}

    async def bring(self) -> None:
        """Bring what is new; when the queue cannot take it, it is brought the next time."""
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
    async def collecting(self) -> AsyncIterator[None]:
        """Bring again and again, and a last time at the end."""
        try:
            async with in_background(repeated(self._try_to_bring, every_s=_EVERY_S, what="the tallies"), "tallies"):
                yield
        finally:
            await self._try_to_bring()

    async def _try_to_bring(self) -> None:
        with suppress(QueueError):
            await self.bring()
