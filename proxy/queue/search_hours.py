"""Which hours a search may skip: rollups count events by kind and hour, and an hour without any has nothing to find."""

from collections.abc import Mapping, Sequence

from proxy.model.ledger import Status
from proxy.model.rollup import OTHER, counted_reason
from proxy.queue.contract import FROM_SERVER, Filter


def kinds_of(wanted: Filter) -> Mapping[str, Sequence[str]]:
    """Return under which kinds rollups may count the wanted events: the texts to accept, by field of ``RollupKey``.

    The result is empty if rollups cannot tell which hours have no wanted event: if any event is wanted, or events with
    status REPLAYED, which are no longer counted.
    """
    if wanted.status is Status.REPLAYED:
        return {}
    exact = {"site": wanted.site, "status": wanted.status or "", "reason": counted_reason(wanted.reason)}
    found = {field: [text] for field, text in exact.items() if text}
    bounded = {"pixel": wanted.pixel, "name": wanted.name}
    found |= {field: [text, OTHER] for field, text in bounded.items() if text}
    if wanted.browser_copy:
        found["browser_copy"] = ["" if wanted.browser_copy == FROM_SERVER else wanted.browser_copy]
    return found
