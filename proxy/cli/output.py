"""What commands print: tables, lines of JSON, and one line on stderr when they fail."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import click
import orjson
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.terminal import printable

_MOST_CHARACTERS = 120
_GAP = 2
# Wider columns are cut, down to this width, before another column is left out.
_LEAST_CUT_WIDTH = 20
# A file or a pipe has no width; what reads it wants each row on one line.
_NO_WIDTH = 10_000
_TIMES = {"at", "arrived", "since", "held_until"}
STYLES = {"delivered": "green", "dropped": "yellow", "duplicate": "dim", "dead": "bold red", "waiting": "cyan"}


def fail(why: str) -> NoReturn:
    """End with exit code 1 and one line that says why."""
    click.echo(printable(f"capi-proxy: {why}"), err=True)
    sys.exit(1)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows as a table, or each as a line of JSON.

    On a terminal that is too narrow for all columns the last ones are left out, and named below the table.

    Args:
        rows: What the operator API returns.
        columns: The keys that the table shows, in this order, the most important first.
        as_json: Print whole rows as JSON instead.
    """
    if as_json:
        print_json_lines(rows)
        return
    console = terminal()
    cells = [[cell_text(column, row.get(column)) for column in columns] for row in rows]
    widths = _widths(console.width, [columns, *cells])
    _print_table(console, dict(zip(columns, widths, strict=False)), cells)
    if len(widths) < len(columns):
        console.print(f"not shown, the terminal is too narrow: {', '.join(columns[len(widths) :])}", style="dim")


def print_json_lines(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print each row as a line of JSON."""
    for row in rows:
        click.echo(printable(orjson.dumps(row).decode()))


def terminal() -> Console:
    """Return the console for tables: in colour and as wide as the terminal, or plain and without bounds elsewhere."""
    width = None if sys.stdout.isatty() else _NO_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def cell_text(column: str, value: object) -> str:
    """Return a value as a table shows it: times by the clock of this machine, ``-`` for nothing, ``…`` where it is cut.

    Args:
        column: The key of the value, which says whether it is a time.
        value: What the row has there.
    """
    if column in _TIMES and isinstance(value, int):
        return local_time(value) if value else "-"
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
    return printable(text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…") or "-"


def local_time(at_ms: int) -> str:
    """Return a time in milliseconds by the clock of this machine, with its zone."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _widths(width: int, lines: Sequence[Sequence[str]]) -> list[int]:
    """Return the widths of as many of the first columns as fit beside each other; the first column always does.

    Columns wider than ``_LEAST_CUT_WIDTH`` share the room that is left.
    """
    whole = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    needed, fitting = -_GAP, 0
    for wanted in whole:
        needed += _GAP + min(wanted, _LEAST_CUT_WIDTH)
        if needed > width and fitting:
            break
        fitting += 1
    left = width + _GAP - sum(_GAP + min(wanted, _LEAST_CUT_WIDTH) for wanted in whole[:fitting])
    long = sum(wanted > _LEAST_CUT_WIDTH for wanted in whole[:fitting])
    return [
        min(wanted, _LEAST_CUT_WIDTH + left // long) if wanted > _LEAST_CUT_WIDTH else wanted
        for wanted in whole[:fitting]
    ]


def _print_table(console: Console, widths: Mapping[str, int], cells: Iterable[Sequence[str]]) -> None:
    """Print a table; no line ends in spaces where a program may read it."""
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column, width in widths.items():
        table.add_column(Text(column), no_wrap=True, overflow="ellipsis", max_width=width)
    for line in cells:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in line[: len(widths)]))
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())
