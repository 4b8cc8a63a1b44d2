"""What bench/ingest.py found, in words and tables: for the terminal and for docs/benchmarks.md."""

import os
import platform
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import apsw
from open_load import Outcome
from rig import ROOT, Slice, goal, percentile, ratio

BARE = "bare aiohttp, 204, body unread"
PARSE = "aiohttp, body read and parsed"
FASTAPI = "FastAPI + Meta's Python SDK"
EXPRESS = "Express + Meta's Node SDK"
HEADROOM = "nginx, 204: what the load could bring"
SIZES = (1, 5, 20)
"""Events of a request."""
LEVELS = (25, 50, 75)
"""Load in percent of the peak."""
DOCUMENT = ROOT / "docs" / "benchmarks.md"
_FROM, _TO = "<!-- bench/ingest.py writes this part -->", "<!-- until here -->"
_PACKAGES = ("aiohttp", "uvloop", "orjson", "msgspec")

OpenSlices: TypeAlias = Mapping[str, Sequence[Outcome]]
Slices: TypeAlias = Mapping[str, Sequence[Slice]]


@dataclass
class Findings:
    """All figures of one run; dictionaries by server have the names of the tables' rows as keys."""

    fronts: tuple[str, ...]
    """Names of the rows that are the proxy."""
    rounds: int
    open_rounds: int
    closed: dict[int, Slices] = field(default_factory=dict)
    """Measurements as fast as requests are answered, by the number of events in a request."""
    stages: dict[str, Slices] = field(default_factory=dict)
    """By front, then by the part that is switched off too; first "" for the whole proxy, at last bare aiohttp."""
    open: dict[str, OpenSlices] = field(default_factory=dict)
    """Measurements at a fixed rate, by server, then by level."""
    lone: OpenSlices = field(default_factory=dict)
    fsync_ms: float = 0.0
    idle_mb: dict[str, float] = field(default_factory=dict)
    """Memory of a thousand idle connections, by server."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the packages of the peers."""
    notes: list[str] = field(default_factory=list)
    """What disturbed the run, and which servers are missing and why."""


def document(found: Findings) -> str:
    """Return the part of the page that the run writes."""
    parts = [_about(found), *(_closed(found, size) for size in SIZES), _stages(found), _open(found), _lone(found)]
    return "\n\n".join((*parts, _idle(found)))


def write(text: str) -> None:
    """Replace the part of docs/benchmarks.md that an earlier run wrote."""
    page = DOCUMENT.read_text()
    before, _, rest = page.partition(_FROM)
    _, _, after = rest.partition(_TO)
    DOCUMENT.write_text(f"{before}{_FROM}\n\n{text}\n\n{_TO}{after}")


def goals(found: Findings) -> None:
    """Print each goal with the figure that was reached."""
    for front in found.fronts:
        print(f"\n{front}")
        one = found.closed[1]
        peers = [name for name in (FASTAPI, EXPRESS) if name in one]
        for unit, cpu in (("requests/s", False), ("requests per CPU", True)):
            least = 0.30 if "aiohttp" in front else 0.43
            goal(f"{unit}, mixed load, to bare aiohttp", ratio(one, front, BARE, cpu=cpu), least)
            if peers:
                goal(f"{unit}, to the better peer", min(ratio(one, front, name, cpu=cpu) for name in peers), 1.15)
        for size, least in ((5, 1.0), (20, 1.5)):
            goal(f"{size} events a request, events/s to bare aiohttp", events_ratio(found, front, size), least)
        p99 = percentile(_latencies(found.open[front]["75"]), 0.99)
        goal("p99 at 75 % of the peak, ms", p99, 25, most=True)
        lone, bare = (percentile(_latencies(found.lone[name]), 0.5) for name in (front, BARE))
        goal("p50 of a lone request to bare aiohttp and an fsync", lone / (bare + found.fsync_ms), 1.5, most=True)


def events_ratio(found: Findings, name: str, size: int) -> float:
    """Return a server's events per second, divided by the requests per second of bare aiohttp (median over rounds)."""
    return ratio(found.closed[size], name, BARE) * size


# -- parts


def _about(found: Findings) -> str:
    proxy = f"Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}"
    ours = ", ".join((proxy, *(f"{name} {version(name)}" for name in _PACKAGES)))
    peers = ", ".join(f"{name} {number}" for name, number in found.versions.items())
    notes = "".join(f"\n- {note.strip('()')}" for note in found.notes)
    return (
        f"{datetime.now(UTC):%-d %B %Y}; {_machine()}. Medians of {found.rounds} rounds, with the range of the middle "
        f"half in brackets, which is the noise.\n\n- proxy and bare servers: {ours}\n- peers: {peers}{notes}"
    )


def _machine() -> str:
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = processor[1] if processor else platform.machine()
    return f"{os.cpu_count()} cores ({name}), {memory:.0f} GiB, Linux {platform.release().partition('-')[0]}"


def _closed(found: Findings, size: int) -> str:
    slices = found.closed[size]
    rows = []
    for name, taken in slices.items():
        row = [name, _spread(slices, name, _rate), _spread(slices, name, _per_cpu)]
        if size > 1:
            row.append(f"{events_ratio(found, name, size):.2f}")
        row += [f"{_middle(taken, what):.{digits}f}" for what, digits in (("cpu_us", 0), ("p50_ms", 1), ("p99_ms", 1))]
        rows.append((*row, "yes" if name in found.fronts else "no" if name in {FASTAPI, EXPRESS} else ""))
    events = ("events/s ÷ requests/s of the first",) if size > 1 else ()
    head = ("", "requests/s", "requests per CPU", *events, "CPU µs", "p50 ms", "p99 ms", "durable")
    return f"### {size} event{'s' * (size > 1)} a request\n\n{_table(head, rows)}"


def _stages(found: Findings) -> str:
    texts = []
    for front, taken in found.stages.items():
        bare = _middle(taken[BARE], "cpu_us")
        slices = {name: each for name, each in taken.items() if name != BARE}
        whole, *_, least = slices.values()
        costs = {name: _saved(slices[before], slices[name]) for before, name in pairwise(slices)}
        costs |= {"HTTP, and all the rest": _middle(least, "cpu_us"), "all": _middle(whole, "cpu_us")}
        rows = [(name, f"{us:.0f}", f"{us / bare:.2f}") for name, us in costs.items()]
        texts.append(_table((front, "CPU µs", "÷ bare aiohttp"), rows))
    return "### Where the time goes\n\n" + "\n\n".join(texts)


def _open(found: Findings) -> str:
    rows = []
    for name, levels in found.open.items():
        for level, outcomes in levels.items():
            latencies = _latencies(outcomes)
            values = (f"{percentile(latencies, share):.1f}" for share in (0.5, 0.99, 0.999))
            late = percentile([ms for outcome in outcomes for ms in outcome.late_ms], 0.99)
            lost = sum(outcome.unanswered for outcome in outcomes)
            rows.append((name, f"{level} %", *values, f"{late:.1f}", len(latencies), lost))
    head = ("", "of its peak", "p50 ms", "p99 ms", "p99.9 ms", "sent late, p99 ms", "requests", "unanswered")
    return f"### Latency of an open load\n\n{_table(head, rows)}"


def _lone(found: Findings) -> str:
    rows = [(name, f"{percentile(_latencies(outcomes), 0.5):.2f}") for name, outcomes in found.lone.items()]
    rows.append(("one fsync of 8 KiB", f"{found.fsync_ms:.2f}"))
    return f"### A lone request\n\n{_table(('', 'p50 ms'), rows)}"


def _idle(found: Findings) -> str:
    rows = [(name, f"{grown:.1f}") for name, grown in found.idle_mb.items()]
    return f"### Memory of 1,000 idle connections\n\n{_table(('', 'MB'), rows)}"


# -- figures


def _latencies(outcomes: Iterable[Outcome]) -> list[float]:
    return [ms for outcome in outcomes for ms in outcome.latencies_ms]


def _middle(taken: Iterable[Slice], what: str) -> float:
    values: list[float] = [getattr(each, what) for each in taken]
    return statistics.median(values)


def _saved(before: Sequence[Slice], after: Sequence[Slice]) -> float:
    """Return the µs of processor time by which a request is cheaper in ``after``, as the median over the rounds."""
    return statistics.median(more.cpu_us - less.cpu_us for more, less in zip(before, after, strict=True))


def _rate(taken: Slice, base: Slice) -> float:
    return taken.rate / base.rate


def _per_cpu(taken: Slice, base: Slice) -> float:
    return base.cpu_us / taken.cpu_us


def _spread(slices: Slices, name: str, times: Callable[[Slice, Slice], float]) -> str:
    """Return the median of a ratio to bare aiohttp over the rounds, and the range of its middle half."""
    ratios = [times(taken, base) for taken, base in zip(slices[name], slices[BARE], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
