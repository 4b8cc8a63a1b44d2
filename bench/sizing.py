"""The tables of docs/scaling.md, made by ``needs.py`` of the unit costs; ``--write`` puts them into the page.

``--events N`` prints the rows of another load instead, of N events a day.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import click
import needs
import unit_costs
from needs import Needs, of_peak
from rig import ROOT

DOCUMENT = ROOT / "docs" / "scaling.md"
LOADS = (1e4, 1e5, 1e6, 1e7, 1e8, 1e9)
"""Events a day."""
RATES = (1e5, 1e6, 1e7)
"""Events a second in the busiest minute."""
_FROM, _TO = "<!-- bench/sizing.py writes this part -->", "<!-- until here -->"

Columns: TypeAlias = dict[str, Callable[[Needs], object]]


def rounded(value: float) -> str:
    """Return a number with two significant digits, as the unit costs are known no better."""
    if value < 0.05:
        return "< 0.05"
    if value < 10:
        return f"{value:.1f}"
    digits = len(str(int(value))) - 2
    return f"{round(value / 10**digits) * 10**digits:,}"


def _machine(load: Needs) -> str:
    if load.one_process <= needs.BUSY:
        return "one process"
    if load.back <= needs.BUSY and load.fronts <= needs.FRONTS:
        return f"`workers = {load.fronts}`"
    return "PostgreSQL"


def _machine_cores(load: Needs) -> str:
    match _machine(load):
        case "one process":
            return rounded(load.one_process)
        case "PostgreSQL":
            return ""
        case _:
            return rounded(load.front_cores + load.back)


def _file(load: Needs) -> str:
    return "" if _machine(load) == "PostgreSQL" else rounded(load.sqlite_gb)


def _size(load: Needs) -> str:
    return f"{load.size[0]} cores, {load.size[1]} GB"


ONE_MACHINE: Columns = {
    "events a day": lambda load: f"{load.a_day:,.0f}",
    "events/s in the busiest minute": lambda load: rounded(load.peak),
    "what runs": _machine,
    "cores in use then": _machine_cores,
    "most events that waited": lambda load: rounded(load.stock.waiting),
    "`queue.db`, GB": _file,
    "a ledger of 7 days, GB": lambda load: rounded(load.ledger_gb),
}
POSTGRES: Columns = {
    "events a day": lambda load: f"{load.a_day:,.0f}",
    f"proxies of {needs.PROXY_CORES} cores": lambda load: load.proxies,
    "their cores in use": lambda load: rounded(load.proxy_cores),
    "primary's cores in use": lambda load: rounded(load.primary_cores),
    "each standby's": lambda load: rounded(load.standby_cores),
    "each server": _size,
    "its disk, GB": lambda load: rounded(load.disk_gb),
    "WAL a day, GB": lambda load: rounded(load.wal_gb_day),
    "WAL, MB/s": lambda load: rounded(load.wal_mb_s),
    "spool, GB": lambda load: rounded(load.spool_gb),
}
EXTREMES: Columns = {
    "events/s": lambda load: f"{load.peak:,.0f}",
    f"proxies of {needs.PROXY_CORES} cores": lambda load: rounded(load.proxies),
    "WAL, MB/s": lambda load: rounded(load.wal_mb_s),
    "primary's cores in use": lambda load: rounded(load.primary_cores),
    "leaders of a single pixel": lambda load: load.leaders,
    "primaries": lambda load: load.shards,
    "each server": _size,
    "disk of all primaries, TB": lambda load: rounded(load.tables_gb / 1000),
}


def document(loads: Iterable[Needs] | None = None) -> str:
    """Return the tables of the page; with ``loads`` the rows of these loads instead of the page's."""
    of_day = list(loads or map(Needs, LOADS))
    parts = [
        "### On one machine, with SQLite",
        _table(ONE_MACHINE, of_day),
        "### Behind several proxies, with PostgreSQL",
        _table(POSTGRES, of_day),
    ]
    if not loads:
        parts += ["### Far beyond", _table(EXTREMES, map(of_peak, RATES)), "### Unit costs", _costs()]
    return "\n\n".join(parts)


def _costs() -> str:
    rows = [
        (cost.what, f"{cost.each:,g}", f"{cost.together:,g}" if cost.together else "", cost.unit, cost.source)
        for cost in unit_costs.ALL
    ]
    return _lines(("", "each event", "each group", "unit", "measured by"), rows)


def _table(columns: Columns, loads: Iterable[Needs]) -> str:
    return _lines(list(columns), [[cell(load) for cell in columns.values()] for load in loads])


def _lines(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def written(page: str) -> str:
    """Return the part of a page between the marks, which this program writes."""
    return page.partition(_FROM)[2].partition(_TO)[0].strip()


def write() -> None:
    """Replace the tables in the page."""
    before, _, rest = DOCUMENT.read_text().partition(_FROM)
    _, _, after = rest.partition(_TO)
    DOCUMENT.write_text(f"{before}{_FROM}\n\n{document()}\n\n{_TO}{after}")


@click.command()
@click.option("--write", "writes", is_flag=True, help="Put the tables into docs/scaling.md.")
@click.option("--events", type=click.FloatRange(1), multiple=True, help="Events a day: print the rows of this load.")
def main(*, writes: bool, events: tuple[float, ...]) -> None:
    """Print or write what loads need."""
    if writes:
        write()
    print(document([Needs(each) for each in events]))


if __name__ == "__main__":
    main()
