"""The two copies of events: how many browser copies fired, were blocked, or have a status that is not known.

The three are never mixed: an event with an unknown browser copy counts neither as a pair nor as recovered.
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
    """How many copies of pages' events reached Meta, among the events that were to be sent: delivered or dead."""

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
    """Neither copy: the browser copy was blocked, and the server copy is a dead letter."""
    not_known_delivered: int
    """Events whose server copy reached Meta, and perhaps their browser copy."""
    pair_rate: Share | None
    blocked_share: Share | None
    coverage: float | None
    """The part of all fired browser copies, of dropped events too, that have a server copy which reached Meta."""


def copies_of(sums: Sums) -> CopyFigures:
    """Return the figures of the copies of a group of events."""
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
