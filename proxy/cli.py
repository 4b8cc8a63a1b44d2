"""The commands. Exit codes: 0 good, 1 a check failed, 2 wrong usage or configuration."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import uvloop

from proxy import app, config
from proxy.queue.base import QueueError
from proxy.queue.local import DataDirBusyError

_CONFIG = click.option(
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The TOML configuration file.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="capi-proxy")
def main() -> None:
    """A first-party proxy that mirrors Meta Pixel events to the Conversions API, each counted once."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def load(path: Path) -> config.Config:
    """Read a configuration or end with exit code 2 and every mistake."""
    try:
        return config.load(path, os.environ)
    except config.ConfigError as error:
        click.echo(f"{path}: {len(error.problems)} mistake(s)", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        sys.exit(2)


@main.command()
@_CONFIG
def serve(path: Path) -> None:
    """Run the proxy: public listener, operator listener, delivery."""
    loaded = load(path)

    async def work(stop: asyncio.Event) -> None:
        async with app.running(loaded) as proxy:
            click.echo(f"public   http://{proxy.public.host}:{proxy.public.port}", err=True)
            click.echo(f"operator http://{proxy.operator.host}:{proxy.operator.port}", err=True)
            await _until(stop, proxy.broken)

    _run(work)


@main.command()
@click.option("--port", default=8800, show_default=True, help="First of four ports in a row.")
def demo(port: int) -> None:
    """Show everything on loopback: simulator, sample shop, proxy and dashboard. No configuration needed."""
    from proxy.demo import demo as running_demo  # noqa: PLC0415 - a server needs neither shop nor simulator

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

    from proxy.simulator.app import make_app  # noqa: PLC0415

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
        click.echo(f"capi-proxy: {error}", err=True)
        sys.exit(1)
