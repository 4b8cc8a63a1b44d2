"""Figures as JSON for the operator API and the command ``stats``; ``docs/dashboard-api.md`` lists the members."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeAlias

import orjson

from proxy.figures.match_quality import MatchQuality
from proxy.figures.overview import GroupFigures, Overview, WordFigures
from proxy.model.rollup import LAG_BOUNDS_MS

Document: TypeAlias = dict[str, Any]

_MEMBERS = tuple(field.name for field in fields(GroupFigures))
_QUALITY_MEMBERS = tuple(field.name for field in fields(MatchQuality))


def overview_bytes(found: Overview, *, site: str = "", pixel: str = "", name: str = "") -> bytes:
    """Return the figures of a period as JSON.

    Args:
        found: The figures.
        site: The site that was asked for; empty: all.
        pixel: The pixel that was asked for; empty: all.
        name: The name of events that was asked for; empty: all.
    """
    period = found.period
    return orjson.dumps(
        {
            "from": period.since_ms,
            "to": period.until_ms,
            "step": period.step,
            "offset": period.offset,
            "day_starts": "UTC" if period.is_long else "asker",
            "site": site,
            "pixel": pixel,
            "name": name,
            "lag_bounds": LAG_BOUNDS_MS,
            "total": _figures(found.total),
            "before": _before(found),
            "buckets": [
                {"at": bucket.at, **_figures(bucket.figures), "match_keys": dict(bucket.match_keys)}
                for bucket in found.buckets
            ],
            "sites": _groups("site", found.sites),
            "pixels": _groups("pixel", found.pixels),
            "names": _groups("name", found.names),
            "left_out": found.left_out,
            "match_quality": found.match_quality,
            "match_quality_by_name": [
                {"name": each.name, **_quality(each.match_quality)} for each in found.match_quality_by_name
            ],
        }
    )


def _before(found: Overview) -> Document | None:
    if found.before is None:
        return None
    before = found.period.before
    return {"from": before.since_ms, "to": before.until_ms, **_figures(found.before)}


def _figures(figures: GroupFigures) -> Document:
    return {member: getattr(figures, member) for member in _MEMBERS}


def _groups(word: str, groups: Iterable[WordFigures]) -> list[Document]:
    return [{word: group.word, **_figures(group.figures)} for group in groups]


def _quality(quality: MatchQuality) -> Document:
    return {member: getattr(quality, member) for member in _QUALITY_MEMBERS}
