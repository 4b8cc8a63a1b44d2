"""The command ``tail``: finished events as they come, until Ctrl-C."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import click
from rich.text import Text

from proxy.cli.client_error import OperatorClientError, ProxyAwayError
from proxy.cli.event_choice import WAITING, filter_of, timeless_event_options
from proxy.cli.operator_client import running_proxy
from proxy.cli.options import TOKENS, config_option, json_option, load_or_exit
from proxy.cli.output import STYLES, cell_text, fail, print_json_lines, terminal
from proxy.config.load import Config
from proxy.queue.contract import Filter

_EVERY_S, _AWAY_S = 0.5, 1.0
_PAGE = 1000
_COLUMNS = ("reason", "name", "id", "site", "pixel", "browser_copy", "findings")
_WORDS = ("pixel", "name", "id", "site", "reason", "action_source")

Row: TypeAlias = Mapping[str, Any]


class Events(Protocol):
    """Where finished events come from."""

    async def events(self, wanted: Filter) -> list[dict[str, Any]]:
        """Return finished events; see ``OperatorClient``."""


@click.command()
@config_option
@timeless_event_options
@click.option(
    "-n", "--lines", default=10, show_default=True, type=click.IntRange(0, 1000), help="How many to begin with."
)
@json_option
def tail(path: Path, *, lines: int, as_json: bool, **chosen: Any) -> None:
    """Show finished events as they come, until Ctrl-C.

    It asks the running proxy, and goes on when that is started again.
    """
    if chosen["status"] == WAITING:
        raise click.UsageError("--status: accepted: how events ended; events --status waiting lists those that wait")
    config, show = load_or_exit(path, TOKENS, may_lack_secrets=True), print_json_lines if as_json else _print_lines
    try:
        asyncio.run(_follow(config, filter_of(**chosen), lines, show))
    except OperatorClientError as error:
        fail(str(error))
    except KeyboardInterrupt:
        return


async def _follow(config: Config, wanted: Filter, lines: int, show: Callable[[Sequence[Row]], None]) -> None:
    away = "no proxy runs, so nothing comes; capi-proxy events lists what is there. Nothing answers at "
    async with running_proxy(config, away) as client:
        tailed = Tail(client, wanted)
        show(await tailed.last(lines))
        is_away = False
        while True:
            await asyncio.sleep(_AWAY_S if is_away else _EVERY_S)
            try:
                show(await tailed.more())
            except ProxyAwayError:
                if not is_away:
                    click.echo("the proxy does not answer; waiting for it", err=True)
                is_away = True
            else:
                if is_away:
                    click.echo("the proxy answers again", err=True)
                is_away = False


class Tail:
    """Follows finished events by their numbers, which outlive a restart.

    It reads every new event, and returns those that are wanted.
    """

    def __init__(self, client: Events, wanted: Filter) -> None:
        """Take the source of events; ``last`` then decides where to begin.

        Args:
            client: Where the events come from.
            wanted: Which events are returned.
        """
        self._client = client
        self._wanted = wanted
        self._number = 0

    async def last(self, lines: int) -> Sequence[Row]:
        """Return the last wanted events, at most ``lines``, oldest first; ``more`` continues after the newest event.

        Raises:
            OperatorClientError: when they cannot be read.
        """
        newest = await self._client.events(Filter(limit=_PAGE))
        self._number = max((int(row["number"]) for row in newest), default=0)
        found = await self._client.events(replace(self._wanted, limit=lines)) if lines else []
        # Events that came between the two answers are left to ``more``.
        return sorted((row for row in found if row["number"] <= self._number), key=lambda row: int(row["number"]))

    async def more(self) -> Sequence[Row]:
        """Return the wanted events that ended since the last call, in the order in which they ended.

        Raises:
            OperatorClientError: when they cannot be read.
        """
        found: list[Row] = []
        while True:
            page = await self._client.events(Filter(since=self._number, limit=_PAGE))
            self._number = max((int(row["number"]) for row in page), default=self._number)
            found += [row for row in page if _is_wanted(row, self._wanted)]
            if len(page) < _PAGE:
                return found


def _is_wanted(row: Row, wanted: Filter) -> bool:
    words = {**{key: getattr(wanted, key) for key in _WORDS}, "status": wanted.status or ""}
    copy = "" if wanted.browser_copy == "server" else wanted.browser_copy
    has_copy = not wanted.browser_copy or row["browser_copy"] == copy
    return has_copy and all(row[key] == word for key, word in words.items() if word)


def _print_lines(rows: Sequence[Row]) -> None:
    console = terminal()
    for row in rows:
        status = cell_text("status", row["status"])
        words = [cell_text(column, row[column]) for column in _COLUMNS]
        line = Text(f"{cell_text('at', row['at'])}  ").append(f"{status:<9}", STYLES.get(status, ""))
        console.print(line.append(f"  {'  '.join(words)}"), soft_wrap=True)
