"""What commands print: tables, lines of JSON, and one line on stderr when they fail."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import click
import orjson

from proxy.cli.terminal import printable

_MOST_CHARACTERS = 80


def fail(why: str) -> NoReturn:
    """End with exit code 1 and one line that says why."""
    click.echo(printable(f"capi-proxy: {why}"), err=True)
    sys.exit(1)


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows as a table, or each as a line of JSON.

    Args:
        rows: What the operator API returns.
        columns: The keys that the table shows, in this order.
        as_json: Print whole rows as JSON instead.
    """
    if as_json:
        for row in rows:
            click.echo(printable(orjson.dumps(row).decode()))
        return
    lines = [columns, *([_cell(column, row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(column: str, value: object) -> str:
    if column == "at" and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    text = " ".join(value) if isinstance(value, list | tuple) else "" if value is None else str(value)
    return printable(text[:_MOST_CHARACTERS]) or "-"
