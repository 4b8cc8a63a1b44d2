"""The command ``export``: ledger, dead letters and suppressions as files of JSON Lines."""

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click
import orjson
from tqdm import tqdm

from proxy.cli.operator_client import OperatorClient
from proxy.cli.options import config_option
from proxy.cli.output import fail
from proxy.cli.questions import ask
from proxy.queue.contract import Filter

_Pages: TypeAlias = AsyncIterator[Sequence[Mapping[str, Any]]]
_PAGE = 1000


@click.command()
@config_option
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def export(path: Path, directory: Path) -> None:
    """Write ledger, dead letters and suppressions as JSON Lines into DIRECTORY.

    The lines are those of events, dead list and suppressions list with --json; of contact data they have the names
    alone. What is written meanwhile may be missing. Files of an earlier export are not overwritten.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{directory} cannot be made: {error.strerror}")
    if there := [name for name in _PARTS if (directory / name).exists()]:
        fail(f"{directory / there[0]} exists already; choose another directory")
    for name, count in ask(path, lambda client: _export(client, directory), reads=True).items():
        click.echo(f"{directory / name}: {count} lines")


async def _export(client: OperatorClient, directory: Path) -> Mapping[str, int]:
    return {name: await _write_file(pages(client), directory / name) for name, pages in _PARTS.items()}


async def _write_file(pages: _Pages, path: Path) -> int:
    """Write a file that appears whole or not at all; return how many lines it has."""
    temporary = path.with_name(f"{path.name}.new")
    try:
        count = await _write_lines(pages, temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(path)
    return count


async def _write_lines(pages: _Pages, path: Path) -> int:
    """Write pages durably into a file; return how many lines they are."""
    count = 0
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as lines, tqdm(desc=path.stem, unit=" lines", disable=None) as bar:
        async for page in pages:
            lines.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in page)
            count += len(page)
            bar.update(len(page))
        lines.flush()
        os.fsync(lines.fileno())
    return count


async def _events(client: OperatorClient) -> _Pages:
    """Yield finished events, oldest first."""
    number = 0
    while page := await client.events(Filter(since=number, limit=_PAGE)):
        yield page
        number = int(page[-1]["number"])


async def _dead(client: OperatorClient) -> _Pages:
    """Yield dead letters, newest first."""
    number = 0
    while page := await client.dead(Filter(before=number, limit=_PAGE)):
        yield page
        number = int(page[-1]["id"])


async def _suppressions(client: OperatorClient) -> _Pages:
    """Yield suppressions, in the order of their digests."""
    digest = b""
    while page := await client.suppressions(None, _PAGE, digest):
        yield page
        digest = bytes.fromhex(page[-1]["digest"])


_PARTS: Mapping[str, Callable[[OperatorClient], _Pages]] = {
    "events.jsonl": _events,
    "dead.jsonl": _dead,
    "suppressions.jsonl": _suppressions,
}
