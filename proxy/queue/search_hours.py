"""Which hours a search may pass over: rollups count events by kind and hour, so one without any has nothing to find."""

from collections.abc import Mapping, Sequence

from proxy.model.ledger import Status
from proxy.model.rollup import OTHER, counted_reason
from proxy.queue.contract import FROM_SERVER, Filter


def kinds_of(wanted: Filter) -> Mapping[str, Sequence[str]]:
    """Return as which kinds of events the wanted ones may be counted: accepted texts, by the fields of ``RollupKey``.

    Nothing where rollups do not know of hours without a wanted event: where any event is wanted, or one that was put
    back and is counted no more.
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
