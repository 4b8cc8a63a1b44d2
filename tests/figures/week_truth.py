"""What every figure of the week must be, counted from the script alone.

More than 250 lines: one independent count of every figure.

Written independently of the proxy's figures: plain loops over a list of the expected events.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from week_script import DAY, HOUR, MINUTE, Expected

_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "figures.md").read_text()
WEIGHTS = {key: Fraction(weight) for key, weight in re.findall(r"\| `(\w+)` \| (0\.\d\d) ", _PAGE)}
# "100, 250 and 500 ms; 1, 2.5, 5, 15 and 60 s; 5 and 15 minutes; 1, 6 and 24 hours"
LAG_BOUNDS = (
    *(100, 250, 500, 1000, 2500, 5000, 15_000, 60_000),
    *(5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY),
)
_OUT_OF_HAND = {"fbc", "fb_login_id", "lead_id"}


class Ended(NamedTuple):
    """An event for one pixel, with its lag in milliseconds."""

    what: Expected
    lag: int


class Question(NamedTuple):
    """The period, division and filters of the figures."""

    since: int
    until: int
    step: str = "day"
    offset: int = 0
    site: str = ""
    pixel: str = ""
    name: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        texts = {key: text for key in ("site", "pixel", "name") if (text := getattr(self, key))}
        return {"from": f"{self.since}", "to": f"{self.until}", "step": self.step, "offset": f"{self.offset}", **texts}


def answer(question: Question, everything: Sequence[Ended]) -> dict[str, Any]:
    """Return the answer that ``/api/overview`` must give, without the texts of its advice."""
    length = question.until - question.since
    wanted = [each for each in everything if _is_wanted(question, each.what)]
    found = [each for each in wanted if question.since <= each.what.arrived < question.until]
    earlier = [each for each in wanted if question.since - length <= each.what.arrived < question.since]
    priced = question.name or "Purchase"
    return {
        "from": question.since,
        "to": question.until,
        "step": question.step,
        "offset": question.offset,
        "day_starts": "asker",
        "site": question.site,
        "pixel": question.pixel,
        "name": question.name,
        "lag_bounds": list(LAG_BOUNDS),
        "total": _figures(found, priced),
        "before": {"from": question.since - length, "to": question.since, **_figures(earlier, priced)},
        "buckets": [
            {"at": at, **_figures(part, priced), "match_keys": _key_counts(part)} for at, part in _cut(question, found)
        ],
        "sites": _by("site", found, lambda _: priced),
        "pixels": _by("pixel", found, lambda _: priced),
        "names": _by("name", found, lambda name: name),
        "left_out": _left_out(found),
        "match_quality": _quality(found),
        "match_quality_by_name": [
            {"name": name, **quality} for name, part in _parts("name", found) if (quality := _quality(part))["events"]
        ],
    }


def _is_wanted(question: Question, what: Expected) -> bool:
    return all(getattr(question, key) in {"", getattr(what, key)} for key in ("site", "pixel", "name"))


def _cut(question: Question, found: Iterable[Ended]) -> list[tuple[int, list[Ended]]]:
    ahead, size = question.offset * MINUTE, HOUR if question.step == "hour" else DAY

    def begin(moment: int) -> int:
        # Figures are counted by hours of UTC; an hour belongs to the day in which it begins.
        return (moment // HOUR * HOUR + ahead) // size * size - ahead

    buckets: dict[int, list[Ended]] = {
        at: [] for at in range(begin(question.since), begin(question.until - 1) + 1, size)
    }
    for each in found:
        buckets[begin(each.what.arrived)].append(each)
    return list(buckets.items())


def _parts(word: str, found: Iterable[Ended]) -> list[tuple[str, list[Ended]]]:
    parts: dict[str, list[Ended]] = {}
    for each in found:
        parts.setdefault(getattr(each.what, word), []).append(each)
    return sorted(parts.items(), key=lambda part: (-len(part[1]), part[0]))


def _by(word: str, found: Iterable[Ended], priced: Callable[[str], str]) -> list[dict[str, Any]]:
    return [{word: text, **_figures(part, priced(text))} for text, part in _parts(word, found)]


def _figures(found: Sequence[Ended], priced: str) -> dict[str, Any]:
    delivered = [each for each in found if each.what.status == "delivered"]
    reached = [each.what for each in found if each.what.browser_copy and _reached_meta(each.what)]
    blocked = [what for what in reached if what.browser_copy == "blocked"]
    return {
        "events": len(found),
        "outcomes": {
            status: sum(each.what.status == status for each in found)
            for status in ("delivered", "dropped", "duplicate", "dead")
        },
        "from_servers": sum(not each.what.browser_copy for each in delivered),
        "copies": _copies(found),
        "sold": _money([each.what for each in delivered], priced),
        "recovered_value": _money(blocked, priced),
        "lag": _lag([each.lag for each in delivered]),
        "score": _quality(found)["score"],
    }


def _reached_meta(what: Expected) -> bool:
    return what.status == "delivered" or what.reason == "server_copy"


def _copies(found: Sequence[Ended]) -> dict[str, Any]:
    count: Counter[tuple[str, str]] = Counter()
    for what, _ in found:
        if what.reason == "unknown_pixel" or not what.browser_copy:
            continue
        if _reached_meta(what):
            count["sent", what.browser_copy] += 1
        elif what.status != "duplicate":
            count[what.status, what.browser_copy] += 1
    fired, blocked, unknown = (count["sent", copy] + count["dead", copy] for copy in ("fired", "blocked", "pending"))
    known, everything = fired + blocked, fired + blocked + unknown
    pairs = count["sent", "fired"]
    all_fired = fired + count["dropped", "fired"]

    def share(part: int, possible: int) -> dict[str, Any] | None:
        if not everything:
            return None
        return {
            "share": part / known if known else None,
            "least": part / everything,
            "most": (part + possible) / everything,
        }

    return {
        "fired": fired,
        "blocked": blocked,
        "not_known": unknown,
        "pairs": pairs,
        "recovered": count["sent", "blocked"],
        "only_browser": count["dead", "fired"],
        "lost": count["dead", "blocked"],
        "not_known_delivered": count["sent", "pending"],
        "pair_rate": share(pairs, count["sent", "pending"]),
        "blocked_share": share(blocked, unknown),
        "coverage": pairs / all_fired if all_fired else None,
    }


def _money(found: Iterable[Expected], priced: str) -> list[dict[str, Any]]:
    sums: dict[tuple[str, str], list[int]] = {}
    for what in found:
        if what.name == priced and what.cents is not None:
            sums.setdefault((what.pixel, what.currency), []).append(what.cents)
    return [
        {
            "pixel": pixel,
            "currency": currency,
            "events": len(cents),
            "value": f"{sum(cents) // 100}.{sum(cents) % 100:02}",
        }
        for (pixel, currency), cents in sorted(sums.items())
    ]


def _lag(lags: Sequence[int]) -> dict[str, Any] | None:
    if not lags:
        return None
    counts = [0] * (len(LAG_BOUNDS) + 1)
    for lag in lags:
        counts[bisect_left(LAG_BOUNDS, lag)] += 1
    order = sorted(lags)

    def between(rank: int) -> dict[str, Any]:
        place = bisect_left(LAG_BOUNDS, order[rank - 1])
        return {
            "over": LAG_BOUNDS[place - 1] if place else 0,
            "up_to": LAG_BOUNDS[place] if place < len(LAG_BOUNDS) else None,
        }

    return {
        "events": len(lags),
        "counts": counts,
        "median": between(-(-len(order) // 2)),
        "p95": between(-(-95 * len(order) // 100)),
    }


def _key_counts(found: Iterable[Ended]) -> dict[str, int]:
    return dict(Counter(key for what, _ in found if what.status == "delivered" for key in what.keys))


def _quality(found: Sequence[Ended]) -> dict[str, Any]:
    events = sum(each.what.status == "delivered" for each in found)
    if not events:
        return {"events": 0, "score": None, "keys": [], "advice": []}
    counts = _key_counts(found)
    coverage = {key: Fraction(count, events) for key, count in counts.items()}
    gains = {key: _score(coverage | {key: Fraction(1)}) - _score(coverage) for key in WEIGHTS}
    order = sorted(WEIGHTS.keys() | counts.keys(), key=lambda key: (-WEIGHTS.get(key, 0), key))
    return {
        "events": events,
        "score": float(_score(coverage)),
        "keys": [{"key": key, "events": counts.get(key, 0), "coverage": counts.get(key, 0) / events} for key in order],
        "advice": [
            {"key": key, "gain": float(gain)}
            for key, gain in sorted(gains.items(), key=lambda item: (-item[1], item[0]))
            if gain >= Decimal("0.05") and key not in _OUT_OF_HAND
        ],
    }


def _score(coverage: dict[str, Fraction]) -> Decimal:
    unmatched = Fraction(1)
    for key, weight in WEIGHTS.items():
        unmatched *= 1 - weight * coverage.get(key, 0)
    exact = 10 * (1 - unmatched)
    with localcontext(prec=60):
        return (Decimal(exact.numerator) / exact.denominator).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _left_out(found: Iterable[Ended]) -> dict[str, Any]:
    every = [each.what for each in found]
    from_pages = sum(
        bool(what.browser_copy)
        and what.reason != "unknown_pixel"
        and (what.status != "duplicate" or what.reason == "server_copy")
        for what in every
    )

    def reasons(status: str) -> dict[str, int]:
        return dict(Counter(what.reason for what in every if what.status == status))

    dropped = reasons("dropped")

    def part(reason: str) -> dict[str, Any]:
        events = dropped.get(reason, 0)
        return {"events": events, "share": events / from_pages if from_pages else None}

    return {
        "from_pages": from_pages,
        "reasons": dropped,
        "dead": reasons("dead"),
        "bots": part("bot"),
        "gpc": part("gpc"),
        "consent": part("no_consent"),
    }
