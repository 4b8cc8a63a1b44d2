"""The figures of a period, as the dashboard's first page and the command ``stats`` show them.

All figures cover the whole period, not only the rows that a page lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from proxy.figures.copies import CopyFigures, copies_of
from proxy.figures.lag import Lag, lag_of
from proxy.figures.left_out import LeftOutEvents, left_out
from proxy.figures.match_quality import MatchQuality, key_counts, match_quality, score_of
from proxy.figures.money import Money, amounts
from proxy.figures.period import Period
from proxy.figures.sums import (
    SALE_NAME,
    Cell,
    Sums,
    largest_groups,
    merge_cells,
    merge_sums,
    sums_by_bucket,
    sums_by_cell,
    sums_by_word,
)
from proxy.model.ledger import Status
from proxy.model.rollup_sums import HourSpan, PeriodQuery, PeriodSums

MOST_WORDS = 100
"""How many names, pixels or sites are listed, those with the most events; the others are added up as one."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How the events of a group ended; each event counts once for each pixel that it is for."""

    delivered: int
    dropped: int
    duplicate: int
    dead: int


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """The figures of a group of events."""

    events: int
    outcomes: Outcomes
    from_servers: int
    """Delivered events that a server brought, which have no browser copy of their own."""
    copies: CopyFigures
    sold: tuple[Money, ...]
    """Values of delivered Purchases; of all delivered events when the group is of one name."""
    recovered_value: tuple[Money, ...]
    """The same, of events whose browser copy was blocked and whose server copy reached Meta."""
    lag: Lag | None
    score: float | None
    """The estimate of match quality, 0 to 10."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The figures of an hour or a day."""

    at: int
    """When it begins, in milliseconds."""
    figures: GroupFigures
    match_keys: Mapping[str, int]
    """How many delivered events had each match key."""


@dataclass(frozen=True, slots=True)
class WordFigures:
    """The figures of the events that have a site, a pixel or a name in common."""

    word: str
    figures: GroupFigures


@dataclass(frozen=True, slots=True)
class NameQuality:
    """The match quality of the events of one name, for which Meta gives a score as well."""

    name: str
    match_quality: MatchQuality


class OverviewPart(NamedTuple):
    """A part of the data of an overview: some of its buckets, and a part of the period before."""

    cells: Mapping[Cell, Sums]
    before: Mapping[Cell, Sums]
    buckets: Sequence[Bucket]


@dataclass(frozen=True, slots=True)
class Overview:
    """All figures of a period."""

    period: Period
    total: GroupFigures
    before: GroupFigures | None
    """The figures of the period of the same length before; None when that is longer ago than rollups are kept."""
    buckets: tuple[Bucket, ...]
    sites: tuple[WordFigures, ...]
    pixels: tuple[WordFigures, ...]
    names: tuple[WordFigures, ...]
    left_out: LeftOutEvents
    match_quality: MatchQuality
    match_quality_by_name: tuple[NameQuality, ...]


def wanted_sums(period: Period, *, site: str = "", pixel: str = "", name: str = "") -> PeriodQuery:
    """Return the query for what ``overview`` needs: the period, and the one before if its rollups are kept.

    Args:
        period: The period.
        site: Only events of this site; empty: of all.
        pixel: Only events of this pixel; empty: of all.
        name: Only events with this name; empty: with any.
    """
    before = HourSpan(period.before.since_hour, period.before.until_hour) if period.has_before else None
    return PeriodQuery(tuple(period.spans()), before, name or SALE_NAME, site, pixel, name)


def part_of(period: Period, wanted: PeriodQuery, found: PeriodSums) -> OverviewPart:
    """Return a part of the data of an overview.

    Args:
        period: The whole period.
        wanted: A part of the query of ``wanted_sums``.
        found: The result of that part.
    """
    buckets = sums_by_bucket(found.buckets, period, wanted.buckets, wanted.priced)
    return OverviewPart(
        sums_by_cell(found.total),
        sums_by_cell(found.before),
        tuple(_bucket(at, sums) for at, sums in buckets.items()),
    )


def overview(period: Period, parts: Sequence[OverviewPart], *, name: str = "") -> Overview:
    """Return the figures of a period.

    Args:
        period: The period.
        parts: All its parts, in their order.
        name: The name of the events if only one was asked for; then their values are added up, not those of Purchases.
    """
    priced = name or SALE_NAME
    cells, before = merge_cells(part.cells for part in parts), merge_cells(part.before for part in parts)
    total, names = merge_sums(cells.values(), priced), largest_groups(sums_by_word(cells, "name"), MOST_WORDS)
    return Overview(
        period=period,
        total=figures_of(total),
        before=figures_of(merge_sums(before.values(), priced)) if period.has_before else None,
        buckets=tuple(bucket for part in parts for bucket in part.buckets),
        sites=_groups(sums_by_word(cells, "site", priced)),
        pixels=_groups(sums_by_word(cells, "pixel", priced)),
        names=_groups(names),
        left_out=left_out(total),
        match_quality=match_quality(total, name),
        match_quality_by_name=tuple(
            NameQuality(word, quality) for word in names if (quality := match_quality(names[word], word)).events
        ),
    )


def figures_of(sums: Sums) -> GroupFigures:
    """Return the figures of a group."""
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


def _bucket(at: int, sums: Sums) -> Bucket:
    return Bucket(at, figures_of(sums), key_counts(sums))


def _groups(sums: Mapping[str, Sums]) -> tuple[WordFigures, ...]:
    return tuple(WordFigures(word, figures_of(group)) for word, group in largest_groups(sums, MOST_WORDS).items())
