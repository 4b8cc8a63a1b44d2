"""The figures in the summary of a day: those of the dashboard's first page."""

from collections.abc import Sequence

from proxy.figures.overview import GroupFigures, figures_of
from proxy.figures.sums import merge_sums, sums_by_cell
from proxy.model.rollup import RollupQuery
from proxy.model.units import HOUR_MS
from proxy.queue.contract import Archive


class DayFigures:
    """Reads the figures of a day."""

    def __init__(self, queue: Archive) -> None:
        self._queue = queue

    async def lines(self, since_ms: int, until_ms: int) -> Sequence[str]:
        """Return lines with the figures of whole hours: from the hour of one moment until before the hour of the other.

        The hour that is not over when a summary is made is in the next summary.

        Raises:
            QueueError: when the figures cannot be read.
        """
        query = RollupQuery(since_ms // HOUR_MS, until_ms // HOUR_MS)
        found = figures_of(merge_sums(sums_by_cell(await self._queue.rollups(query)).values()))
        stats = self._queue.stats()
        return (
            f"In the last {query.until_hour - query.since_hour} whole hours:",
            *_lines(found),
            f"Now: events that wait: {sum(stats.waiting.values())}, dead letters: {stats.dead}.",
        )


def _lines(found: GroupFigures) -> Sequence[str]:
    ended, copies = found.outcomes, found.copies
    sold = [f"{money.value} {money.currency} of pixel {money.pixel}, Purchases: {money.events}" for money in found.sold]
    won = [f"{money.value} {money.currency} of pixel {money.pixel}" for money in found.recovered_value]
    value = f" ({', '.join(won)})" if won else ""
    left_out = f"dropped: {ended.dropped}, repeats: {ended.duplicate}, dead letters: {ended.dead}"
    recovered = f"Recovered, as their browser copy was blocked: {copies.recovered}{value}"
    return (
        f"Events delivered: {ended.delivered}, {left_out}.",
        f"{recovered}; browser copy not known: {copies.not_known}.",
        *(f"Sold: {text}." for text in sold[:5]),
    )
