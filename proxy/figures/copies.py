"""The two copies of events: which browser copies fired, which were blocked, and of which it is not known.

These are three things, and never mixed: a browser copy of which nothing is known is neither a pair nor recovered.
"""

from collections import Counter
from dataclasses import dataclass

from proxy.figures.share import Share, share_of
from proxy.figures.sums import Sums
from proxy.model.event import BrowserCopy
from proxy.model.ledger import Status
from proxy.model.rollup_sums import reached_meta

_FIRED, _BLOCKED, _PENDING = BrowserCopy.FIRED, BrowserCopy.BLOCKED, BrowserCopy.PENDING


@dataclass(frozen=True, slots=True)
class CopyFigures:
    """What is known of the copies of pages' events that were to be sent: delivered or dead."""

    fired: int
    blocked: int
    not_known: int
    pairs: int
    """Both copies: the browser copy fired and the server copy reached Meta."""
    recovered: int
    """The server copy alone: the browser copy was blocked."""
    only_browser: int
    """The browser copy alone: it fired, and the server copy is a dead letter."""
    lost: int
    """Neither."""
    not_known_delivered: int
    """The server copy, and perhaps the browser copy."""
    pair_rate: Share | None
    blocked_share: Share | None
    coverage: float | None
    """Of the browser copies that fired, whatever became of the event, how many have a server copy that reached Meta."""


def copies_of(sums: Sums) -> CopyFigures:
    """Return what is known of the copies of a group."""
    sent, dead, dropped = Counter[str](), Counter[str](), Counter[str]()
    for kind, events in sums.kinds():
        if reached_meta(kind.status, kind.reason):
            sent[kind.browser_copy] += events
        elif kind.status is not Status.DUPLICATE:
            (dead if kind.status is Status.DEAD else dropped)[kind.browser_copy] += events
    fired, blocked, not_known = (sent[copy] + dead[copy] for copy in (_FIRED, _BLOCKED, _PENDING))
    fired_in_all = fired + dropped[_FIRED]
    return CopyFigures(
        fired=fired,
        blocked=blocked,
        not_known=not_known,
        pairs=sent[_FIRED],
        recovered=sent[_BLOCKED],
        only_browser=dead[_FIRED],
        lost=dead[_BLOCKED],
        not_known_delivered=sent[_PENDING],
        pair_rate=share_of(sent[_FIRED], fired + blocked, not_known, sent[_PENDING]),
        blocked_share=share_of(blocked, fired + blocked, not_known),
        coverage=sent[_FIRED] / fired_in_all if fired_in_all else None,
    )
