"""Events that were not sent on purpose, and why: drop reasons, bots, and browsers that object."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.figures.sums import Ending, Sums
from proxy.model.event import DropReason
from proxy.model.ledger import Status
from proxy.model.rollup_sums import reached_meta

_MARK = "bot:"


@dataclass(frozen=True, slots=True)
class PageShare:
    """A number of events that pages brought, and their share."""

    events: int
    share: float | None
    """Their part, 0 to 1, of all events that pages brought, without repeats; None when there are none."""


@dataclass(frozen=True, slots=True)
class LeftOutEvents:
    """Events that were not sent, or sent but marked as a bot's."""

    from_pages: int
    """Events that pages brought, without repeats: the whole of which the shares are parts."""
    reasons: Mapping[str, int]
    """Dropped events by reason, the most frequent first."""
    dead: Mapping[str, int]
    """Dead letters by reason, the most frequent first."""
    bots: PageShare
    """Events of bots: those that were dropped, and those that were marked and sent."""
    gpc: PageShare
    """Dropped, since the browser sent Global Privacy Control; not known for sites with another setting."""
    consent: PageShare
    """Dropped, since the visitor had not consented."""


def left_out(sums: Sums) -> LeftOutEvents:
    """Return which events of a group were not sent, and why."""
    from_pages = sum(events for kind, events in sums.kinds() if kind.browser_copy and not _is_repeat(kind))

    def part(events: int) -> PageShare:
        return PageShare(events, events / from_pages if from_pages else None)

    dropped = _by_reason(sums, Status.DROPPED)
    marked = sum(events for kind, events in sums.kinds() if kind.reason.startswith(_MARK))
    return LeftOutEvents(
        from_pages=from_pages,
        reasons=dropped,
        dead=_by_reason(sums, Status.DEAD),
        bots=part(dropped.get(DropReason.BOT, 0) + marked),
        gpc=part(dropped.get(DropReason.GPC, 0)),
        consent=part(dropped.get(DropReason.NO_CONSENT, 0)),
    )


def _is_repeat(kind: Ending) -> bool:
    return kind.status is Status.DUPLICATE and not reached_meta(kind.status, kind.reason)


def _by_reason(sums: Sums, status: Status) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (each, reason, _), events in sums.counts.items():
        found[reason] += events if each is status else 0
    return {reason: events for reason, events in sorted(found.items(), key=lambda item: (-item[1], item[0])) if events}
