"""The commands that run until a signal ends them: ``serve``, ``demo`` and ``simulator``."""

import asyncio
import gc
import resource
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import click
import uvloop

from proxy import app
from proxy.cli.options import config_option, load_or_exit
from proxy.cli.output import fail
from proxy.config.load import Config
from proxy.installation import UnsafeInstallationError
from proxy.queue.contract import QueueError
from proxy.queue.sqlite.data_dir import DataDirBusyError
from proxy.workers.parent import Started, WorkerError
from proxy.workers.run import run

_EXPECTED_ERRORS = (QueueError, DataDirBusyError, UnsafeInstallationError, WorkerError, OSError)


@click.command()
@config_option
def serve(path: Path) -> None:
    """Run the proxy: public listener, operator listener, delivery."""
    config = load_or_exit(path)
    # A core dump would hold tokens and contact data.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if config.settings.server.workers > 1:
        _run_workers(config)
        return

    async def work(stop: asyncio.Event) -> None:
        async with app.run_proxy(config) as proxy:
            click.echo(f"public   http://{proxy.public.authority}", err=True)
            click.echo(f"operator http://{proxy.operator.authority}", err=True)
            # The objects that exist now stay; a garbage collection that goes through them stops all requests for 20 ms.
            gc.freeze()
            await app.wait_until_stopped(stop, proxy.broken)

    _run_until_signal(work)


@click.command()
@click.option("--port", default=8800, show_default=True, help="First of four ports in a row.")
def demo(port: int) -> None:
    """Show everything on loopback: simulator, sample shop, proxy and dashboard. No configuration needed."""
    from proxy.cli.demo import run_demo  # noqa: PLC0415 - a server needs neither shop nor simulator

    async def work(stop: asyncio.Event) -> None:
        async with run_demo(port) as addresses:
            click.echo(f"shop       {addresses.shop}        click through it, to the thank-you page")
            click.echo(f"events     {addresses.pairs}  each event: browser copy, server copy, counted once")
            click.echo(f"dashboard  {addresses.dashboard}        what the proxy did")
            click.echo(f"simulator  {addresses.simulator}        what Meta would have received")
            click.echo("Ctrl-C ends it; nothing is kept.")
            await stop.wait()

    _run_until_signal(work)


@click.command()
@click.option("--port", default=8890, show_default=True, help="Port on loopback.")
def simulator(port: int) -> None:
    """Run the Graph API look-alike alone, for any Conversions API client."""
    from aiohttp import web  # noqa: PLC0415 - as above

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

    _run_until_signal(work)


def _run_workers(config: Config) -> None:
    try:
        run(config, _announce)
    except _EXPECTED_ERRORS as error:
        fail(str(error))


def _announce(started: Started) -> None:
    click.echo(f"public   {started.public}", err=True)
    click.echo(f"operator {started.operator}", err=True)
    click.echo(f"workers  {', '.join(f'{name} {pid}' for name, pid in started.pids.items())}", err=True)


def _run_until_signal(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
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
    except _EXPECTED_ERRORS as error:
        fail(str(error))
