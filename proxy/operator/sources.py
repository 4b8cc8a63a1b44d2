"""Where events come from: sites, builds of the tag, origins that were refused, consent, signals."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web

from proxy.config.schema import Site
from proxy.model.event import DropReason
from proxy.model.ledger import Status
from proxy.model.rollup import OTHER, Rollup, RollupQuery, Tally
from proxy.model.units import HOUR_MS
from proxy.operator.documents import json_response
from proxy.operator.queries import TimeRange, time_range
from proxy.queue.contract import Archive
from proxy.telemetry.tallies import BETWEEN, CONSENT, REFUSED, SIGNAL, TAG

_MOST_NAMES = 10
_MOST_TALLY_HOURS = 31 * 24
"""Tallies are read of the last so many hours at most; more of them would be too many to read at once."""
_SETTINGS = {
    "foreign_origin": "site.domains",
    "insecure_origin": "the page's address: https",
    "unknown_host": "site.domains, or the Host header of the server in front",
}


class SourceApi:
    """Answers the question where events come from."""

    def __init__(
        self, queue: Archive, *, sites: Sequence[Site], prefixes: Mapping[str, str], now: Callable[[], int]
    ) -> None:
        """Take what the answer is made of.

        Args:
            queue: Keeps rollups and tallies.
            sites: The sites of the configuration.
            prefixes: By the name of a site: the prefix of its public paths.
            now: Server clock in milliseconds.
        """
        self._queue = queue
        self._sites = sites
        self._prefixes = prefixes
        self._now = now

    def add_to(self, app: web.Application) -> None:
        """Add the route of this part."""
        app.router.add_get("/api/sources", self._sources)

    async def _sources(self, request: web.Request) -> web.Response:
        wanted, site = time_range(request.query, self._now()), request.query.get("site", "")[:200]
        query = RollupQuery(wanted.since_hour, wanted.until_hour, site=site, by_day=wanted.is_long)
        rollups = await self._queue.event_counts(query)
        told_from = max(wanted.since_hour, wanted.until_hour - _MOST_TALLY_HOURS)
        tallies = await self._queue.tallies(told_from, wanted.until_hour)
        sites = [each for each in self._sites if not site or each.name == site]
        consents, signals = _by_site(tallies, CONSENT, 3), _by_site(tallies, SIGNAL, 2)
        return json_response({
            "sites": [
                _with_share(self._site_json(each, rollups, consents.get(each.name, []), signals), told_from, wanted)
                for each in sites
            ],
            "tallied_from": told_from * HOUR_MS,
            "tags": _tags([tally for tally in tallies if tally.kind == TAG], {each.name for each in sites}),
            "refused": _refused([tally for tally in tallies if tally.kind == REFUSED]),
        })  # fmt: skip

    def _site_json(
        self, site: Site, rollups: Iterable[Rollup], consents: Sequence[Tally], signals: Mapping[str, Sequence[Tally]]
    ) -> dict[str, Any]:
        mine = [rollup for rollup in rollups if rollup.key.site == site.name]
        events = sum(rollup.events for rollup in mine)
        of_pages = sum(rollup.events for rollup in mine if rollup.key.browser_copy)
        drops = _counted(mine, lambda rollup: rollup.key.reason if rollup.key.status is Status.DROPPED else "")
        bots = drops.get(DropReason.BOT, 0) + sum(r.events for r in mine if r.key.reason.startswith("bot:"))
        gpc = sum(tally.count for tally in signals.get(site.name, ()) if _words(tally, 2)[1] == "gpc")
        return {
            "site": site.name,
            "domains": site.domains,
            "prefix": self._prefixes.get(site.name, ""),
            "events": events,
            "of_pages": of_pages,
            "statuses": _counted(mine, lambda rollup: rollup.key.status),
            "drop_reasons": drops,
            "browser_copies": _counted(mine, lambda rollup: rollup.key.browser_copy),
            "bots": bots,
            "gpc": gpc,
            "consents": _consents(consents),
            "names": _most_frequent(_counted(mine, lambda rollup: rollup.key.name)),
            "last_hour": max((rollup.key.hour * HOUR_MS for rollup in mine), default=None),
        }


def _with_share(site: dict[str, Any], told_from: int, wanted: TimeRange) -> dict[str, Any]:
    """Add the share of pages' events with GPC; None unless both counts are of the same time."""
    is_known = told_from == wanted.since_hour and site["of_pages"]
    return {**site, "gpc_share": min(1.0, site["gpc"] / site["of_pages"]) if is_known else None}


def _counted(rollups: Iterable[Rollup], word: Callable[[Rollup], str]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for rollup in rollups:
        if found := word(rollup):
            counts[str(found)] += rollup.events
    return dict(counts.most_common())


def _most_frequent(names: Mapping[str, int]) -> list[Mapping[str, Any]]:
    return [{"name": name, "events": events} for name, events in list(names.items())[:_MOST_NAMES]]


def _words(tally: Tally, expected: int) -> Sequence[str]:
    """Return the words of a tally's subject; all are ``OTHER`` if it stands for the subjects that were too many."""
    words = tally.subject.split(BETWEEN)
    return words if len(words) == expected else (OTHER,) * expected


def _by_site(tallies: Iterable[Tally], kind: str, words: int) -> dict[str, list[Tally]]:
    found: dict[str, list[Tally]] = {}
    for tally in tallies:
        if tally.kind == kind:
            found.setdefault(_words(tally, words)[0], []).append(tally)
    return found


def _consents(tallies: Iterable[Tally]) -> list[Mapping[str, Any]]:
    counts: Counter[tuple[str, str]] = Counter()
    for tally in tallies:
        _, consent, source = _words(tally, 3)
        counts[consent, source] += tally.count
    return [{"consent": key[0], "source": key[1], "events": events} for key, events in counts.most_common()]


def _tags(tallies: Sequence[Tally], sites: set[str]) -> list[Mapping[str, Any]]:
    grouped: dict[tuple[str, str, bool], list[Tally]] = {}
    for tally in tallies:
        site, build, current = _words(tally, 3)
        if site in sites:
            grouped.setdefault((site, build, current == "current"), []).append(tally)
    rows = [
        {
            "site": site,
            "build": build,
            "is_current": current,
            "loads": sum(tally.count for tally in group),
            "first_hour": min(tally.hour for tally in group) * HOUR_MS,
            "last_hour": max(tally.hour for tally in group) * HOUR_MS,
        }
        for (site, build, current), group in grouped.items()
    ]
    return sorted(rows, key=lambda row: (row["site"], -row["loads"]))


def _refused(tallies: Sequence[Tally]) -> list[Mapping[str, Any]]:
    grouped: dict[tuple[str, str], list[Tally]] = {}
    for tally in tallies:
        code, origin = _words(tally, 2)
        grouped.setdefault((code, origin), []).append(tally)
    rows = [
        {
            "code": code,
            "origin": origin,
            "requests": sum(tally.count for tally in group),
            "last_hour": max(tally.hour for tally in group) * HOUR_MS,
            "setting": _SETTINGS.get(code, ""),
        }
        for (code, origin), group in grouped.items()
    ]
    return sorted(rows, key=lambda row: -row["requests"])
