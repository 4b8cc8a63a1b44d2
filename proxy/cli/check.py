"""The command ``check``."""

import asyncio
import re
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import click
import orjson

from proxy import doctor
from proxy.cli.options import config_option, load_or_exit
from proxy.cli.terminal import printable
from proxy.config.field_types import is_origin
from proxy.doctor.catalogue import GROUP_OF
from proxy.doctor.catalogue.row import Seriousness
from proxy.doctor.web.network_access import Endpoint, NetworkAccess

_HEADINGS = {
    Seriousness.FAILURE: "To mend: events are lost or wrong, or something leaks",
    Seriousness.UNSEEN: "Could not be looked at",
    Seriousness.DOUBT: "Doubtful: right in some places, a loss in others",
    Seriousness.NOTE: "To know",
}
_ENDPOINT = r"(?P<to>\[[0-9a-fA-F:.]+\]|[0-9.]+)"
_CONNECT_TO = re.compile(rf"(?P<host>[^:\[\]]+):(?P<port>\d{{1,5}}):{_ENDPOINT}:(?P<at>\d{{1,5}})", re.ASCII)
_NAMESERVER = re.compile(rf"{_ENDPOINT}(?::(?P<at>\d{{1,5}}))?", re.ASCII)
_MOST_PORT = 65_535


def _connections(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[Endpoint, Endpoint]:
    found: dict[Endpoint, Endpoint] = {}
    for value in values:
        match = _CONNECT_TO.fullmatch(value)
        endpoint = _endpoint(match["to"], int(match["at"])) if match else None
        if match is None or endpoint is None:
            raise click.BadParameter(f"{value!r}; accepted: HOST:PORT:ADDRESS:PORT")
        found[match["host"].lower(), int(match["port"])] = endpoint
    return found


def _nameserver(_context: click.Context, _option: click.Parameter, value: str) -> Endpoint | None:
    match = _NAMESERVER.fullmatch(value)
    endpoint = _endpoint(match["to"], int(match["at"] or 53)) if match else None
    if value and endpoint is None:
        raise click.BadParameter(f"{value!r}; accepted: an address, or ADDRESS:PORT")
    return endpoint


def _endpoint(written: str, port: int) -> Endpoint | None:
    """Return an address and a port; None if they are not valid. An IPv6 address must be written in brackets."""
    try:
        address = ip_address(written.strip("[]"))
    except ValueError:
        return None
    return (
        (str(address), port) if 0 < port <= _MOST_PORT and written.startswith("[") == (address.version == 6) else None
    )


def _origin(_context: click.Context, _option: click.Parameter, value: str) -> str:
    origin = value.rstrip("/").lower()
    if value and not is_origin(origin):
        raise click.BadParameter(f"{value!r}; accepted: scheme and host such as https://t.shop.example")
    return origin


@click.command()
@config_option
@click.option("--send-test", is_flag=True, help="Send one test event to each pixel; it needs no test code.")
@click.option("--url", "base", default="", callback=_origin, help="Where pages find the proxy: https://t.shop.example")
@click.option("--offline", is_flag=True, help="Ask nothing of the network but the database of the queue.")
@click.option(
    "--connect-to",
    multiple=True,
    callback=_connections,
    metavar="HOST:PORT:ADDRESS:PORT",
    help="Connect there in place of where DNS leads, as with curl; may be repeated.",
)
@click.option("--nameserver", default="", callback=_nameserver, metavar="ADDRESS[:PORT]", help="Ask this name server.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(  # noqa: PLR0913 - its options
    path: Path,
    *,
    send_test: bool,
    base: str,
    offline: bool,
    connect_to: dict[Endpoint, Endpoint],
    nameserver: Endpoint | None,
    as_json: bool,
) -> None:
    """Report every mistake of a configuration, then what is wrong or doubtful about running it here.

    It writes nothing. Exit code 1 when something is to mend; docs/doctor.md lists all findings.
    """
    config = load_or_exit(path)
    ways = NetworkAccess(connect_to, nameserver)
    report = asyncio.run(
        doctor.examine(config, doctor.ExaminationOptions(ways, base, offline=offline, send_test=send_test))
    )
    if as_json:
        click.echo(printable(orjson.dumps(doctor.report_json(report)).decode()))
    else:
        for line in _lines(report):
            click.echo(line)
        click.echo(printable(f"{path}: {report.summary}"))
    sys.exit(1 if report.counts[Seriousness.FAILURE] else 0)


def _lines(report: doctor.Examination) -> Iterator[str]:
    heading = ""
    for finding in report.findings:
        if heading != (heading := _HEADINGS[finding.row.seriousness]):
            yield heading
        yield from _finding_lines(finding)
        yield ""


def _finding_lines(finding: doctor.Finding) -> Iterator[str]:
    yield printable(f"  {finding}  [{GROUP_OF[finding.code]}: {finding.code}]")
    yield printable(f"    why:  {finding.row.why}")
    yield printable(f"    mend: {finding.row.mend}")
    for line in finding.paste.splitlines():
        yield printable(f"      | {line}")
