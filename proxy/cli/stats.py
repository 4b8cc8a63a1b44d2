"""The command ``stats``: the dashboard's figures in the terminal."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from proxy.cli.moments import MomentType
from proxy.cli.options import config_option
from proxy.cli.questions import ask
from proxy.cli.stats_tables import print_stats
from proxy.cli.terminal import printable

_BEGIN, _END = MomentType(), MomentType(is_end=True)


@click.command()
@config_option
@click.option("--since", default="24h", show_default=True, type=_BEGIN, help="From when on: 24h, 7d, 2026-11-01, …")
@click.option("--until", type=_END, help="Until when, of a date to its end; without it, until now.")
@click.option("--site", default="", help="Name of a site.")
@click.option("--pixel", default="", help="Pixel id.")
@click.option("--name", default="", help="Event name; values are then those of its events.")
@click.option("--by", type=click.Choice(["hour", "day"]), help="How the time is cut; hours for up to three days.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as the operator API answers.")
def stats(path: Path, *, since: int, until: int | None, by: str | None, as_json: bool, **chosen: str) -> None:
    """Show the figures of a period: outcomes, browser copies, what was recovered, delivery lag, match quality.

    The period is widened to whole hours. What each figure means, and what is not known, is in docs/figures.md.
    """
    now = datetime.now(UTC).astimezone()
    offset = now.utcoffset()
    asked = {
        **{key: text for key, text in chosen.items() if text},
        "from": f"{since}",
        "to": f"{int(now.timestamp() * 1000) if until is None else until}",
        "offset": f"{int(offset.total_seconds() // 60) if offset else 0}",
        **({"step": by} if by else {}),
    }
    found: dict[str, Any] = ask(path, lambda client: client.overview(asked), reads=True)
    if as_json:
        click.echo(printable(orjson.dumps(found).decode()))
    else:
        print_stats(found)
