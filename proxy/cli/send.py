"""The command ``send``: events of the past, from files, through the running proxy.

They are posted to the proxy's endpoint for servers, not written into its queue: the proxy knows opt-outs, repeats and
the other copy of an order, remains the only process that writes the queue, and delivers what it takes. The endpoint is
the one in the form of Meta's Gateway, which keeps the good events of a request and names the bad ones.
"""

import asyncio
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import aiohttp
import click
import msgspec
from tqdm import tqdm

from proxy.backfill.batches import EventBatch, FilePosition, batches, remaining
from proxy.backfill.claims import FileOptions, NotSent, UnreadableFileError
from proxy.backfill.ids import Namer
from proxy.backfill.judge import Ready, judge_claims, skip_done
from proxy.backfill.progress import Progress
from proxy.backfill.report import Report
from proxy.backfill.source import Source, parse_columns, parse_constants
from proxy.cli.backfill_file import BackfillFile
from proxy.cli.options import config_option, load_or_exit
from proxy.cli.output import fail
from proxy.cli.sending import Outcome, Sender, StoppedError, is_address
from proxy.cli.terminal import printable
from proxy.config.load import Config
from proxy.config.schema import Pixel, Site
from proxy.model.server_request import RequestFields

_UNUSED = ("access_token", "app_secret")
_MOST_SHOWN = 20
_QUIET_S = 10.0
"""Seconds between two updates of the progress bar when stderr is no terminal."""


class Plan(NamedTuple):
    """What the command was asked to do."""

    url: str
    key: str
    site: str
    pixel: str
    wishes: FileOptions
    fields: RequestFields

    def digest(self) -> str:
        """Return a hash of everything besides the files that determines the events."""
        said = (self.site, self.pixel, sorted(self.wishes.columns.items()), sorted(self.wishes.constants.items()))
        return hashlib.sha256(
            repr((*said, str(self.wishes.zone), self.wishes.decimal, self.fields)).encode()
        ).hexdigest()


@click.command()
@config_option
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--site", default="", help="The site whose access key is used; needed where there are several.")
@click.option("--pixel", default="", help="The pixel (dataset) id; needed where the site has several.")
@click.option("--name", default="", help="Event name of lines that have none.")
@click.option(
    "--map", "columns", multiple=True, help="COLUMN=PLACE, such as 'Net total=value'; 'Notes=' leaves it out."
)
@click.option("--set", "constants", multiple=True, help="PLACE=VALUE where a line says nothing, such as currency=EUR.")
@click.option("--timezone", "zone", default="", help="Of times without an offset, such as Europe/Berlin.")
@click.option("--decimal", type=click.Choice([".", ","]), help="What stands before decimals, where it is not clear.")
@click.option("--test-event-code", default="", help="Shows the events on the test page of Events Manager.")
@click.option("--url", default="", help="Where the proxy answers; without it the configuration's own address.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.option("--restart", is_flag=True, help="Send again what an earlier run has sent.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def send(path: Path, files: Sequence[Path], *, dry_run: bool, restart: bool, yes: bool, **options: Any) -> None:
    """Send events of the past from files of JSON Lines or CSV through the running proxy.

    An interrupted run is continued where it stood. Files that end in .jsonl, .ndjson or .json hold an event a line in
    Graph's shape; .csv, .tsv and .txt hold events, or the order export of Shopify or WooCommerce.
    """
    plan = _plan(load_or_exit(path, _UNUSED), **options)
    is_clean = True
    for file in files:
        source = BackfillFile(file, plan.pixel)
        try:
            with source.locked():
                is_clean &= _Run(source, plan).report_and_send(dry_run=dry_run, restart=restart, yes=yes)
        except UnreadableFileError as error:
            click.echo(printable(f"capi-proxy: {file}: {error}"), err=True)
            sys.exit(2)
        except (StoppedError, OSError) as error:
            fail(f"{file}: {error}")
    sys.exit(0 if is_clean else 1)


# -- what was asked for


def _plan(config: Config, *, site: str, pixel: str, url: str, test_event_code: str, **wishes: Any) -> Plan:
    chosen, target = _target(config.settings.site, site, pixel)
    if not chosen.access_keys:
        raise click.UsageError(f"site {chosen.name} has no access_keys, by which server events are let in")
    server = config.settings.server
    if server.proxy_protocol and not url:
        raise click.UsageError("--url: missing; the listener speaks the PROXY protocol, so ask what stands before it")
    if url and not is_address(url):
        raise click.UsageError(f"--url {url}: must be an address such as https://t.shop.example")
    base = url or f"http://{server.listen.local_address.authority}"
    key = chosen.access_keys[0].get_secret_value()
    door = f"{base.rstrip('/')}/capi/{target.id}/events"
    return Plan(door, key, chosen.name, target.id, _options(**wishes), RequestFields(test_event_code))


def _target(sites: Sequence[Site], site: str, pixel: str) -> tuple[Site, Pixel]:
    pairs = [(each, target) for each in sites for target in each.pixel]
    found = [(each, target) for each, target in pairs if site in ("", each.name) and pixel in ("", target.id)]
    if len(found) != 1:
        names = ", ".join(f"--site {each.name} --pixel {target.id}" for each, target in pairs)
        raise click.UsageError(f"{'no such' if not found else 'more than one'} site and pixel; there are {names}")
    return found[0]


def _options(*, name: str, columns: Sequence[str], constants: Sequence[str], zone: str, decimal: Any) -> FileOptions:
    try:
        chosen = parse_constants([*constants, *([f"event_name={name}"] if name else [])])
        return FileOptions(parse_columns(columns), chosen, ZoneInfo(zone) if zone else None, decimal or "")
    except (ValueError, KeyError, OSError) as error:
        raise click.UsageError(str(error).strip("'\"")) from None


# -- a file


class _Run:
    """The report on one file, and its sending.

    Args:
        file: The file.
        plan: What the command was asked to do.
    """

    def __init__(self, file: BackfillFile, plan: Plan) -> None:
        self._file = file
        self._plan = plan
        self._now_s = int(time.time())
        self._encoding = file.encoding()
        self._progress = Progress.start(plan.digest())

    def report_and_send(self, *, dry_run: bool, restart: bool, yes: bool) -> bool:
        """Report, and send unless it is a dry run; return whether every event was or could be sent."""
        if not restart:
            self._resume()
        report = self._report()
        if dry_run:
            return report.is_clean
        is_watched = sys.stdin.isatty() and not yes
        if is_watched and not report.is_clean and report.ready and not click.confirm("Send those that can be sent?"):
            return False
        refused = asyncio.run(self._send(report.ready.total()))
        return report.is_clean and not refused

    def _resume(self) -> None:
        found = self._file.progress()
        if found is None:
            return
        if found.asked != self._progress.asked:
            raise StoppedError("an earlier run had other options; --restart begins again with these")
        if self._file.hash_to(found.end) != found.sha256:
            raise StoppedError(
                "what an earlier run has sent of it was changed since. --restart sends all again; equal events keep "
                "their ids, and what the proxy remembers is not sent twice"
            )
        self._progress = found

    def _items(self, *, is_first: bool) -> Iterator[tuple[Ready | NotSent, FilePosition]]:
        size = self._file.path.stat().st_size if is_first else self._progress.end
        with tqdm(total=size, unit="B", unit_scale=True, desc="reading", leave=False, disable=None) as bar:
            source = Source.of(self._file.path.name, self._file.lines(bar.update), self._encoding, self._plan.wishes)
            if is_first:
                bar.clear()
                _print_source(self._file.path, source)
            namer = Namer(self._plan.site)
            claims = skip_done(source.claims, namer, self._progress.end)
            for item in remaining(judge_claims(claims, namer, self._plan.wishes, self._now_s), self._progress):
                if not is_first:
                    bar.close()
                yield item

    def _report(self) -> Report:
        report = Report()
        for item, _ in self._items(is_first=True):
            report.add(item)
        if self._progress.sent or self._progress.refused:
            click.echo(f"  {self._progress.sent} events were sent by earlier runs; this is what is left:")
        for line in report.lines():
            click.echo(printable(f"  {line}"))
        return report

    async def _send(self, total: int) -> int:
        """Send what is left; return how many events the proxy refused."""
        # Before anything is sent: if the progress cannot be written, a second run would send all again.
        self._file.keep(self._progress)
        before, quiet = self._progress, 0.1 if sys.stderr.isatty() else _QUIET_S
        async with aiohttp.ClientSession() as session:
            sender = Sender(session, self._plan.url, self._plan.key)
            with tqdm(total=total, unit="event", mininterval=quiet) as bar:
                for number, batch in enumerate(batches(self._items(is_first=False), self._plan.fields)):
                    if not number:
                        # The rate shall not count the time for reading what earlier runs have sent.
                        bar.unpause()
                    done = await sender.send(batch, partial(_print_above_bar, bar)) if batch.events else Outcome()
                    _print_refused(done, _MOST_SHOWN - self._progress.refused + before.refused, bar)
                    self._keep(batch, done)
                    bar.update(len(batch.events))
        refused = self._progress.refused - before.refused
        click.echo(f"  {self._progress.sent - before.sent} sent, {refused} refused by the proxy")
        return refused

    def _keep(self, batch: EventBatch, done: Outcome) -> None:
        self._progress = msgspec.structs.replace(
            self._progress,
            end=batch.place.end,
            beyond=batch.place.beyond,
            sha256=self._file.hash_to(batch.place.end),
            sent=self._progress.sent + done.sent,
            refused=self._progress.refused + len(done.refused) + done.unnamed,
        )
        self._file.keep(self._progress)


def _print_source(path: Path, source: Source) -> None:
    click.echo(printable(f"{path}: {source.kind}"))
    if source.used:
        click.echo(printable(f"  columns: {', '.join(f'{name} → {place}' for name, place in source.used.items())}"))
    if source.unused:
        click.echo(printable(f"  left out: {', '.join(source.unused)}"))


def _print_refused(done: Outcome, most: int, bar: Any) -> None:
    for line, why in done.refused[: max(0, most)]:
        _print_above_bar(bar, f"line {line}: {why}")


def _print_above_bar(bar: Any, text: str) -> None:
    bar.write(printable(f"  {text}"), file=sys.stderr)
