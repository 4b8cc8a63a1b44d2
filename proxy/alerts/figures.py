"""What the summary of a day says beside the conditions: the figures of the dashboard's first page."""

from collections.abc import Sequence

from proxy.figures.overview import GroupFigures, figures_of
from proxy.figures.sums import by_cell, merged
from proxy.model.rollup import RollupQuery
from proxy.model.units import HOUR_MS
from proxy.queue.contract import Archive


class DayFigures:
    """Reads the figures of a day."""

    def __init__(self, queue: Archive) -> None:
        self._queue = queue

    async def lines(self, since_ms: int, until_ms: int) -> Sequence[str]:
        """Return what happened between two moments, of whole hours, a line each.

        Raises:
            QueueError: when it cannot be read.
        """
        query = RollupQuery(since_ms // HOUR_MS + 1, until_ms // HOUR_MS + 1)
        found = figures_of(merged(by_cell(await self._queue.rollups(query)).values()))
        stats = self._queue.stats()
        return (
            *_lines(found),
            f"Now {sum(stats.waiting.values())} events wait, and {stats.dead} dead letters are kept.",
        )


def _lines(found: GroupFigures) -> Sequence[str]:
    ended, copies = found.outcomes, found.copies
    sold = [
        f"{money.value} {money.currency} in {money.events} Purchases of pixel {money.pixel}" for money in found.sold
    ]
    won = [f"{money.value} {money.currency} of pixel {money.pixel}" for money in found.recovered_value]
    value = f" ({', '.join(won)})" if won else ""
    left_out = f"{ended.dropped} dropped, {ended.duplicate} were repeats, {ended.dead} became dead letters"
    return (
        "In the last 24 hours:",
        f"{ended.delivered} events were delivered, {left_out}.",
        f"{copies.recovered} were recovered, as their browser copy was blocked{value}; not known: {copies.not_known}.",
        *(f"Sold: {text}." for text in sold[:5]),
    )
