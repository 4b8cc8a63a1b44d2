"""The tables of the command ``stats``, made of what ``/api/overview`` answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple, TypeAlias

import click

from proxy.cli.output import print_rows

Document: TypeAlias = Mapping[str, Any]

_MOST_LINES = 40
_MOST_ADVICE = 5
_MS = ((3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))


class _Column(NamedTuple):
    head: str
    text: Callable[[Document], object]


_COLUMNS = (
    _Column("events", lambda each: each["events"]),
    _Column("delivered", lambda each: each["outcomes"]["delivered"]),
    _Column("dropped", lambda each: each["outcomes"]["dropped"]),
    _Column("duplicate", lambda each: each["outcomes"]["duplicate"]),
    _Column("dead", lambda each: each["outcomes"]["dead"]),
    _Column("fired", lambda each: each["copies"]["fired"]),
    _Column("blocked", lambda each: each["copies"]["blocked"]),
    _Column("not known", lambda each: each["copies"]["not_known"]),
    _Column("recovered", lambda each: each["copies"]["recovered"]),
    _Column("recovered value", lambda each: _money(each["recovered_value"])),
    _Column("match quality", lambda each: _score(each["score"])),
)


def print_stats(found: Document) -> None:
    """Print the figures of a period as tables."""
    _print_head(found)
    totals = [("now", found["total"]), *([("before", found["before"])] if found["before"] else [])]
    _print_table("", "period", totals)
    _print_copies(found["total"])
    _print_pairs("Value of Purchases" if not found["name"] else "Value", _values(found["total"]))
    _print_pairs("Left out", _left_out(found))
    _print_quality(found)
    for word in ("name", "pixel", "site"):
        groups = found[f"{word}s"]
        if len(groups) > 1:
            _print_table(f"By {word}", word, [(group[word] or "-", group) for group in groups])
    filled = [bucket for bucket in found["buckets"] if bucket["events"]]
    _print_table(f"By {found['step']}", found["step"], [(_begin(found, bucket), bucket) for bucket in filled])


def _print_head(found: Document) -> None:
    zone = _zone(found)
    since, until = (datetime.fromtimestamp(found[key] / 1000, UTC).astimezone(zone) for key in ("from", "to"))
    click.echo(f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M %Z}: events that arrived then and have ended")


def _zone(found: Document) -> timezone:
    return timezone(timedelta(minutes=0 if found["day_starts"] == "UTC" else found["offset"]))


def _begin(found: Document, bucket: Document) -> str:
    begin = datetime.fromtimestamp(bucket["at"] / 1000, UTC).astimezone(_zone(found))
    return f"{begin:%Y-%m-%d}" if found["step"] == "day" else f"{begin:%Y-%m-%d %H:%M}"


def _print_table(title: str, word: str, lines: Sequence[tuple[str, Document]]) -> None:
    if not lines:
        return
    _print_title(title)
    rows = [{word: text} | {column.head: column.text(each) for column in _COLUMNS} for text, each in lines]
    print_rows(rows[:_MOST_LINES], (word, *(column.head for column in _COLUMNS)), as_json=False)
    if len(rows) > _MOST_LINES:
        click.echo(f"and {len(rows) - _MOST_LINES} more (--json shows all)")


def _print_pairs(title: str, pairs: Iterable[tuple[str, object]]) -> None:
    if rows := [{"figure": figure, "": text} for figure, text in pairs]:
        _print_title(title)
        print_rows(rows, ("figure", ""), as_json=False)


def _print_title(title: str) -> None:
    click.echo(f"\n{title}" if title else "")


def _print_copies(total: Document) -> None:
    copies, lag = total["copies"], total["lag"]
    _print_pairs(
        "Browser copies and delivery",
        [
            ("pairs (both copies)", copies["pairs"]),
            ("pair rate, of the known", _share(copies["pair_rate"])),
            ("blocked share, of the known", _share(copies["blocked_share"])),
            ("fired copies with a server copy", _percent(copies["coverage"])),
            ("only the browser copy", copies["only_browser"]),
            ("neither copy", copies["lost"]),
            ("brought by servers", total["from_servers"]),
            ("delivery lag, median", _between(lag["median"]) if lag else "-"),
            ("delivery lag, 95 of 100 within", _between(lag["p95"]) if lag else "-"),
        ],
    )


def _values(total: Document) -> Iterable[tuple[str, str]]:
    recovered = {(each["pixel"], each["currency"]): each["value"] for each in total["recovered_value"]}
    sold = {(each["pixel"], each["currency"]): each["value"] for each in total["sold"]}
    for pixel, currency in sorted(sold.keys() | recovered.keys()):
        key = (pixel, currency)
        yield (
            f"pixel {pixel}, {currency}",
            f"{sold.get(key, '0.00')} delivered, {recovered.get(key, '0.00')} recovered",
        )


def _left_out(found: Document) -> Iterable[tuple[str, str]]:
    left_out = found["left_out"]
    yield from ((f"dropped: {reason}", events) for reason, events in left_out["reasons"].items())
    yield from ((f"dead: {reason}", events) for reason, events in left_out["dead"].items())
    for word, key in (("machines", "bots"), ("Global Privacy Control", "gpc"), ("no consent", "consent")):
        if left_out[key]["events"]:
            yield f"share of pages' events: {word}", _percent(left_out[key]["share"])


def _print_quality(found: Document) -> None:
    rows = [
        {
            "name": each["name"],
            "score": _score(each["score"]),
            "could rise by": "".join(_gain(advice) for advice in each["advice"][:1]),
            "what would raise it most": "".join(advice["text"] for advice in each["advice"][:1]),
        }
        for each in found["match_quality_by_name"]
    ]
    if not rows:
        return
    _print_title("Match quality, an estimate on Meta's scale of 0 to 10")
    print_rows(rows[:_MOST_LINES], ("name", "score", "could rise by", "what would raise it most"), as_json=False)
    advice = [{"by": _gain(each), "": each["text"]} for each in found["match_quality"]["advice"][:_MOST_ADVICE]]
    _print_title("What would raise it, of all events")
    print_rows(advice, ("by", ""), as_json=False)


def _money(amounts: Sequence[Document]) -> str:
    """Return amounts as text, each with its pixel if there are several pixels: these may report the same sales."""
    several = len({each["pixel"] for each in amounts}) > 1
    return ", ".join(
        f"{each['value']} {each['currency']}" + (f" ({each['pixel']})" if several else "") for each in amounts
    )


def _gain(advice: Document) -> str:
    return f"+{advice['gain']:.1f}"


def _score(score: float | None) -> str:
    return "-" if score is None else f"{score:.1f}"


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{part:.1%}"


def _share(share: Document | None) -> str:
    if share is None:
        return "-"
    bounds = f"{share['least']:.1%} to {share['most']:.1%} of all"
    return f"{_percent(share['share'])} ({bounds})" if share["least"] != share["most"] else _percent(share["share"])


def _between(between: Document) -> str:
    if between["up_to"] is None:
        return f"more than {_duration(between['over'])}"
    return f"{_duration(between['over'])} to {_duration(between['up_to'])}"


def _duration(milliseconds: int) -> str:
    unit, name = next((each for each in _MS if milliseconds >= each[0]), (1, "ms"))
    return f"{milliseconds / unit:g} {name}"
