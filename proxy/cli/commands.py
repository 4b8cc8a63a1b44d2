"""The commands. Exit codes: 0 good, 1 a check failed, 2 wrong usage or configuration."""

import asyncio
import gc
import logging
import os
import re
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import orjson
import uvloop
from tqdm import tqdm

from proxy import __version__, app, doctor
from proxy.cli import snippet as snippets
from proxy.cli.operator_client import OperatorClient, OperatorClientError, open_operator_client, person_of
from proxy.cli.terminal import Lines, printable
from proxy.config.load import Config
from proxy.config.load import load as load_config
from proxy.config.problems import ConfigError
from proxy.edge.tag.build import trap_of
from proxy.model.ledger import Status
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Filter, QueueError
from proxy.queue.sqlite.engine import DataDirBusyError

T = TypeVar("T")

_VARIABLE = "CAPI_PROXY_CONFIG"
_PLACES = (Path("config.toml"), Path("/etc/capi-proxy/config.toml"))
# Only delivery needs them, and it runs in another process.
_TOKENS = ("access_token", "app_secret", "access_keys")


_HOST = re.compile(r"(?:https://)?([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?)/?")


def _find(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path:
    """Return the configuration file that was named, or the first that stands where one is looked for."""
    found = path or next(filter(Path.is_file, _PLACES), None)
    if found is None:
        places = ", ".join(map(str, _PLACES))
        raise click.UsageError(f"--config: missing; looked for the variable {_VARIABLE}, then for {places}")
    return found


_CONFIG = click.option(
    "--config",
    "path",
    envvar=_VARIABLE,
    show_envvar=True,
    callback=_find,
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The TOML configuration file; without it {' or '.join(map(str, _PLACES))}.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="capi-proxy")
def main() -> None:
    """A first-party proxy that mirrors Meta Pixel events to the Conversions API, each counted once."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def load(path: Path, unused: Collection[str] = ()) -> Config:
    """Read a configuration or end with exit code 2 and every mistake; ``unused`` secrets are not looked for."""
    try:
        return load_config(path, os.environ, unused)
    except ConfigError as error:
        click.echo(f"{path}: {len(error.problems)} mistake(s)", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        sys.exit(2)


@main.command()
@_CONFIG
def serve(path: Path) -> None:
    """Run the proxy: public listener, operator listener, delivery."""
    loaded = load(path)
    # A core dump would hold tokens and contact data.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    async def work(stop: asyncio.Event) -> None:
        async with app.running(loaded) as proxy:
            click.echo(f"public   http://{proxy.public.authority}", err=True)
            click.echo(f"operator http://{proxy.operator.authority}", err=True)
            # What is there now stays: to look through it for waste holds up all requests for 20 ms.
            gc.freeze()
            await _until(stop, proxy.broken)

    _run(work)


@main.command()
@click.option("--port", default=8800, show_default=True, help="First of four ports in a row.")
def demo(port: int) -> None:
    """Show everything on loopback: simulator, sample shop, proxy and dashboard. No configuration needed."""
    from proxy.cli.demo import demo as running_demo  # noqa: PLC0415 - a server needs neither shop nor simulator

    async def work(stop: asyncio.Event) -> None:
        async with running_demo(port) as addresses:
            click.echo(f"shop       {addresses.shop}        click through it, to the thank-you page")
            click.echo(f"events     {addresses.pairs}  each event: browser copy, server copy, counted once")
            click.echo(f"dashboard  {addresses.dashboard}        what the proxy did")
            click.echo(f"simulator  {addresses.simulator}        what Meta would have received")
            click.echo("Ctrl-C ends it; nothing is kept.")
            await stop.wait()

    _run(work)


@main.command()
@click.option("--port", default=8890, show_default=True, help="Port on loopback.")
def simulator(port: int) -> None:
    """Run the Graph API look-alike alone, for any Conversions API client."""
    from aiohttp import web  # noqa: PLC0415

    from proxy.simulator.graph.app import make_app  # noqa: PLC0415

    async def work(stop: asyncio.Event) -> None:
        runner = web.AppRunner(make_app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            click.echo(f"simulator http://127.0.0.1:{port}")
            await stop.wait()
        finally:
            await runner.cleanup()

    _run(work)


@main.command()
@_CONFIG
@click.option("--send-test", is_flag=True, help="Send one test event to each pixel with a test_event_code.")
def check(path: Path, *, send_test: bool) -> None:
    """Report every mistake of a configuration, then what is doubtful about running it here."""
    loaded = load(path)
    found = list(doctor.findings(loaded))
    if send_test:

        async def work() -> list[doctor.Finding]:
            return [finding async for finding in doctor.send_tests(loaded)]

        found += asyncio.run(work())
    for finding in found:
        click.echo(printable(f"{'FAILED' if finding.failing else 'note'}: {finding}"))
    failed = sum(finding.failing for finding in found)
    click.echo(f"{path}: {f'FAILED, {failed} to mend' if failed else 'the configuration is sound'}")
    sys.exit(1 if failed else 0)


def _host(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Return the host name of what may be given as an address."""
    match = _HOST.fullmatch(value.lower())
    if value and not match:
        raise click.BadParameter(f"{value!r}; accepted: a host name such as t.shop.example")
    return match[1] if match else ""


@main.command()
@_CONFIG
@click.option("--site", "name", default="", help="Name of the site; needed when there are several.")
@click.option("--host", default="", callback=_host, help="The proxy's own host name; else a path of the site itself.")
def snippet(path: Path, name: str, host: str) -> None:
    """Print the HTML to paste, and the rules for the web server in front."""
    loaded = load(path, (*_TOKENS, "operator_password"))
    sites = {site.name: site for site in loaded.settings.site}
    if not name and len(sites) > 1:
        raise click.UsageError(f"--site: missing; accepted: {', '.join(sites)}")
    site = sites.get(name or next(iter(sites)))
    if site is None:
        raise click.UsageError(f"--site: {name!r}; accepted: {', '.join(sites)}")
    try:
        secret = app.existing_secret(loaded.settings, loaded.data_dir)
    except OSError as error:
        _fail(f"{error}; run it as the user the proxy runs as")
    if not secret and not site.prefix:
        _fail(
            "the path comes from server.secret, which is not set, and none was made in"
            f" {loaded.data_dir} yet: set one (openssl rand -hex 32), or start the proxy once"
        )
    prefix = app.prefixes(loaded.settings, secret, site)[0]
    click.echo(snippets.snippet(loaded.settings, site, trap_of(site), prefix, host))


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options by which events and dead letters are chosen."""
    for option in (
        click.option("--reason", default="", help="Why it ended so."),
        click.option("--id", default="", help="Event id."),
        click.option("--name", default="", help="Event name."),
        click.option("--pixel", default="", help="Pixel id."),
    ):
        command = option(command)
    return command


_LIMIT = click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000), help="How many.")
_STATUS = click.Choice([status.value for status in Status], case_sensitive=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@main.command()
@_CONFIG
@_filters
@_LIMIT
@click.option("--status", type=_STATUS, help="How the event ended.")
@_JSON
def events(path: Path, status: str | None, *, as_json: bool, **chosen: Any) -> None:
    """List finished events, newest first."""
    wanted = Filter(status=Status(status) if status else None, **chosen)
    _print(_ask(path, lambda client: client.events(wanted)), _EVENT_COLUMNS, as_json=as_json)


@main.group()
def dead() -> None:
    """Dead letters: events Graph refused for good."""


@dead.command("list")
@_CONFIG
@_filters
@_LIMIT
@_JSON
def dead_list(path: Path, *, as_json: bool, **chosen: Any) -> None:
    """List dead letters with Graph's words, newest first."""
    _print(_ask(path, lambda client: client.dead(Filter(**chosen))), _DEAD_COLUMNS, as_json=as_json)


@dead.command("replay")
@_CONFIG
@_filters
def dead_replay(path: Path, **chosen: Any) -> None:
    """Put all these dead letters back, to be delivered with the same ids; nothing older than 7 days."""
    found, done = _ask(path, lambda client: _each(client, Filter(**chosen), client.replay))
    click.echo(f"{done} replayed, {found - done} left: older than 7 days, or damaged on disk")


@dead.command("discard")
@_CONFIG
@_filters
@click.confirmation_option(prompt="Remove these dead letters for good?")
def dead_discard(path: Path, **chosen: Any) -> None:
    """Remove all these dead letters for good."""
    _, done = _ask(path, lambda client: _each(client, Filter(**chosen), client.discard))
    click.echo(f"{done} discarded")


def _person(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options by which a person is named."""
    for option in (
        click.option("--visitor", "visitors", multiple=True, help="The reference that the opt-out page shows."),
        click.option("--external-id", "ids", multiple=True, help="The site's own id of the person, as for the Pixel."),
        click.option("--phone", "phones", multiple=True, help="Telephone number, with country code."),
        click.option("--email", "emails", multiple=True, help="Mail address."),
    ):
        command = option(command)
    return command


def _named(loaded: Config, given: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    try:
        return person_of(loaded, **given)
    except ValueError as error:
        raise click.UsageError(f"nobody can be known by this value of {_NAMES[str(error)]}") from None


@main.command()
@_CONFIG
@_person
def erase(path: Path, **given: Sequence[str]) -> None:
    """Remove waiting events and dead letters of one person, and refuse older ones that come later."""
    if not any(given.values()):
        raise click.UsageError("accepted: one or more of --email, --phone, --external-id, --visitor")
    loaded = load(path, _TOKENS)
    person = _named(loaded, given)
    erased = _ask(path, lambda client: client.erase(person))
    days = loaded.settings.retention.erased_days
    click.echo(f"{erased.waiting} waiting events and {erased.dead} dead letters removed")
    click.echo(f"events that happened before now are refused for {days} days")


@main.group()
def suppressions() -> None:
    """Who opted out, withdrew consent or was erased: digests, which name nobody."""


_KIND = click.option(
    "--kind", type=click.Choice([one.value for one in SuppressionKind]), help="Only suppressions of this kind."
)


@suppressions.command("list")
@_CONFIG
@_KIND
@_LIMIT
@_JSON
def suppressions_list(path: Path, kind: str | None, limit: int, *, as_json: bool) -> None:
    """List suppressions, newest first."""
    wanted = SuppressionKind(kind) if kind else None
    _print(_ask(path, lambda client: client.suppressions(wanted, limit)), _SUPPRESSION_COLUMNS, as_json=as_json)


@suppressions.command("lift")
@_CONFIG
@click.argument("digests", nargs=-1, metavar="[DIGEST]...")
@_person
@_KIND
@click.confirmation_option(prompt="Send again what is about these people?")
def suppressions_lift(path: Path, digests: Sequence[str], kind: str | None, **given: Sequence[str]) -> None:
    """End suppressions before their time: those of the list, or those of a person.

    Only the people themselves can take back an opt-out or agree again. Use this when they asked you to, or against
    suppressions that nobody meant.
    """
    if not digests and not any(given.values()):
        raise click.UsageError("accepted: digests, or one or more of --email, --phone, --external-id, --visitor")
    if wrong := [one for one in digests if not re.fullmatch("[0-9a-f]{32}", one)]:
        raise click.UsageError(f"{wrong[0][:40]!r}; accepted: digests as the list shows them, 32 hex digits")
    person = {**_named(load(path, _TOKENS), given), "digest": list(digests)}
    lifted = _ask(path, lambda client: client.lift(person, SuppressionKind(kind) if kind else None))
    click.echo(f"{lifted} suppressions lifted")


_NAMES = {"em": "--email", "ph": "--phone", "external_id": "--external-id", "visitor": "--visitor"}
_SUPPRESSION_COLUMNS = ("at", "kind", "digest")
_EVENT_COLUMNS = ("at", "status", "reason", "name", "id", "pixel", "browser_copy", "attempts", "fbtrace_id", "findings")
_WORDS = ("fbtrace_id", "message")
_DEAD_COLUMNS = ("id", "at", "reason", "code", "subcode", "name", "event_id", "pixel", "attempts", *_WORDS)
_PAGE, _PIECE = 1000, 100


def _ask(path: Path, question: Callable[[OperatorClient], Awaitable[T]]) -> T:
    loaded = load(path, _TOKENS)

    async def work() -> T:
        async with open_operator_client(loaded) as client:
            return await question(client)

    try:
        return asyncio.run(work())
    except (OperatorClientError, QueueError, OSError) as error:
        _fail(str(error))


def _fail(why: str) -> NoReturn:
    click.echo(printable(f"capi-proxy: {why}"), err=True)
    sys.exit(1)


async def _each(
    client: OperatorClient, wanted: Filter, act: Callable[[Sequence[int]], Awaitable[int]]
) -> tuple[int, int]:
    """Act on the chosen dead letters piece by piece, with a progress bar; return how many were chosen and done."""
    ids: list[int] = []
    while page := await client.dead(replace(wanted, before=min(ids, default=0), limit=_PAGE)):
        ids += [int(letter["id"]) for letter in page]
    done = 0
    with tqdm(total=len(ids), unit="letter", disable=None) as bar:
        for start in range(0, len(ids), _PIECE):
            piece = ids[start : start + _PIECE]
            done += await act(piece)
            bar.update(len(piece))
    return len(ids), done


def _print(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            click.echo(printable(orjson.dumps(row).decode()))
        return
    cells = [columns, *([_cell(column, row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(column: str, value: object) -> str:
    if column == "at" and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    text = " ".join(value) if isinstance(value, list | tuple) else "" if value is None else str(value)
    return printable(text[:80]) or "-"


async def _until(stop: asyncio.Event, broken: asyncio.Future[None]) -> None:
    """Wait for a signal, or for the queue to break, whose error then ends the process."""
    stopped = asyncio.create_task(stop.wait())
    ends: set[asyncio.Future[Any]] = {stopped, broken}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if broken.done():
        broken.result()


def _run(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run until SIGTERM or SIGINT; end with exit code 1 and one line when it cannot go on."""

    async def until_signal() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await work(stop)

    try:
        with suppress(KeyboardInterrupt):
            uvloop.run(until_signal())
    except (QueueError, DataDirBusyError, app.UnsafeInstallationError, OSError) as error:
        _fail(str(error))
