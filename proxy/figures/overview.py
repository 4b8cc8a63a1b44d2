"""The figures of a period, as the dashboard's first page and the command ``stats`` show them.

Everything is of the whole period, never of rows that somebody lists.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from proxy.figures.copies import CopyFigures, copies_of
from proxy.figures.lag import Lag, lag_of
from proxy.figures.left_out import LeftOutEvents, left_out
from proxy.figures.match_quality import MatchQuality, key_counts, match_quality, score_of
from proxy.figures.money import Money, amounts
from proxy.figures.period import Period
from proxy.figures.sums import SOLD, Sums, by_bucket, by_cell, by_word, largest, merged
from proxy.model.ledger import Status
from proxy.model.rollup import Rollup

MOST_WORDS = 100
"""Names, pixels or sites that are told apart, those of the most events."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How the events of a group ended; each event counts once for each pixel that it is for."""

    delivered: int
    dropped: int
    duplicate: int
    dead: int


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """What is known of a group of events."""

    events: int
    outcomes: Outcomes
    from_servers: int
    """Delivered events that a server brought, which have no browser copy of their own."""
    copies: CopyFigures
    sold: tuple[Money, ...]
    """Values of delivered Purchases; where all events have one name, of those."""
    recovered_value: tuple[Money, ...]
    """Likewise, of those whose browser copy was blocked."""
    lag: Lag | None
    score: float | None
    """The estimate of match quality, 0 to 10."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """An hour or a day."""

    at: int
    """When it begins, in milliseconds."""
    figures: GroupFigures
    match_keys: Mapping[str, int]
    """How many delivered events had each match key."""


@dataclass(frozen=True, slots=True)
class WordFigures:
    """What has one word in common: a site, a pixel, or a name."""

    word: str
    figures: GroupFigures


@dataclass(frozen=True, slots=True)
class NameQuality:
    """The match quality of the events of one name, of which Meta has a score as well."""

    name: str
    match_quality: MatchQuality


@dataclass(frozen=True, slots=True)
class Overview:
    """All figures of a period."""

    period: Period
    total: GroupFigures
    before: GroupFigures | None
    """Of the period of the same length before; None where that is longer ago than rollups are kept."""
    buckets: tuple[Bucket, ...]
    sites: tuple[WordFigures, ...]
    pixels: tuple[WordFigures, ...]
    names: tuple[WordFigures, ...]
    left_out: LeftOutEvents
    match_quality: MatchQuality
    match_quality_by_name: tuple[NameQuality, ...]


def overview(period: Period, found: Sequence[Rollup], *, name: str = "") -> Overview:
    """Return the figures of a period.

    Args:
        period: Which one.
        found: The rollups of it, of the period before, and perhaps of hours around them.
        name: The only name of the events, where nothing else is wanted; values are then those of its events.
    """
    priced = name or SOLD
    rollups = within(period, found)
    cells = by_cell(rollups)
    total, names = merged(cells.values(), priced), largest(by_word(cells, "name"), MOST_WORDS)
    return Overview(
        period=period,
        total=figures_of(total),
        before=_before(period, found, priced),
        buckets=tuple(_bucket(at, sums) for at, sums in by_bucket(rollups, period, priced).items()),
        sites=_groups(by_word(cells, "site", priced)),
        pixels=_groups(by_word(cells, "pixel", priced)),
        names=_groups(names),
        left_out=left_out(total),
        match_quality=match_quality(total, name),
        match_quality_by_name=tuple(
            NameQuality(word, quality) for word in names if (quality := match_quality(names[word], word)).events
        ),
    )


def within(period: Period, rollups: Iterable[Rollup]) -> list[Rollup]:
    """Return those that are of a period."""
    return [each for each in rollups if period.since_hour <= each.key.hour < period.until_hour]


def figures_of(sums: Sums) -> GroupFigures:
    """Return what is known of a group."""
    return GroupFigures(
        events=sums.events,
        outcomes=Outcomes(*map(sums.ended, _STATUSES)),
        from_servers=sums.delivered(by_servers=True),
        copies=copies_of(sums),
        sold=amounts(sums.sold),
        recovered_value=amounts(sums.recovered),
        lag=lag_of([sums.lag]),
        score=score_of(sums),
    )


_STATUSES = (Status.DELIVERED, Status.DROPPED, Status.DUPLICATE, Status.DEAD)


def _before(period: Period, found: Iterable[Rollup], priced: str) -> GroupFigures | None:
    if not period.has_before:
        return None
    return figures_of(merged(by_cell(within(period.before, found)).values(), priced))


def _bucket(at: int, sums: Sums) -> Bucket:
    return Bucket(at, figures_of(sums), key_counts(sums))


def _groups(sums: Mapping[str, Sums]) -> tuple[WordFigures, ...]:
    return tuple(WordFigures(word, figures_of(group)) for word, group in largest(sums, MOST_WORDS).items())
