"""The commands ``dead list``, ``dead replay`` and ``dead discard``."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from proxy.cli.operator_client import OperatorClient
from proxy.cli.options import config_option, event_options, json_option, limit_option
from proxy.cli.output import print_rows
from proxy.cli.questions import ask
from proxy.queue.contract import Filter

_COLUMNS = (
    *("id", "at", "reason", "code", "subcode", "name", "event_id", "pixel", "attempts"),
    *("fbtrace_id", "message"),
)
_MOST_LISTED, _MOST_AT_ONCE = 1000, 100


@click.group()
def dead() -> None:
    """Dead letters: events Graph refused for good."""


@dead.command("list")
@config_option
@event_options
@limit_option
@json_option
def dead_list(path: Path, *, as_json: bool, **chosen: Any) -> None:
    """List dead letters with Graph's words, newest first."""
    print_rows(ask(path, lambda client: client.dead(Filter(**chosen)), reads=True), _COLUMNS, as_json=as_json)


@dead.command("replay")
@config_option
@event_options
def dead_replay(path: Path, **chosen: Any) -> None:
    """Put all these dead letters back, to be delivered with the same ids; nothing older than 7 days."""
    found, done = ask(path, lambda client: _act_on_all(client, Filter(**chosen), client.replay))
    click.echo(f"{done} replayed, {found - done} left: older than 7 days, or damaged on disk")


@dead.command("discard")
@config_option
@event_options
@click.confirmation_option(prompt="Remove these dead letters for good?")
def dead_discard(path: Path, **chosen: Any) -> None:
    """Remove all these dead letters for good."""
    _, done = ask(path, lambda client: _act_on_all(client, Filter(**chosen), client.discard))
    click.echo(f"{done} discarded")


async def _act_on_all(
    client: OperatorClient, wanted: Filter, act: Callable[[Sequence[int]], Awaitable[int]]
) -> tuple[int, int]:
    """Act on the chosen dead letters in parts, with a progress bar; return how many were chosen and done."""
    ids: list[int] = []
    while page := await client.dead(replace(wanted, before=min(ids, default=0), limit=_MOST_LISTED)):
        ids += [int(letter["id"]) for letter in page]
    done = 0
    with tqdm(total=len(ids), unit="letter", disable=None) as bar:
        for start in range(0, len(ids), _MOST_AT_ONCE):
            part = ids[start : start + _MOST_AT_ONCE]
            done += await act(part)
            bar.update(len(part))
    return len(ids), done
