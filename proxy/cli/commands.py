"""The command line: every command by its name. Exit codes: 0 good, 1 a check failed, 2 wrong usage or configuration."""

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

import click

from proxy import __version__
from proxy.cli.terminal import PrintableFormatter

MODULES: Final = {
    "serve": "serve",
    "demo": "serve",
    "alerts": "alerts",
    "simulator": "serve",
    "check": "check",
    "snippet": "snippet",
    "events": "events",
    "stats": "stats",
    "tail": "tail",
    "dead": "dead",
    "send": "send",
    "erase": "persons",
    "suppressions": "persons",
    "export": "export",
    "password": "password",
}
"""By command name: the module of ``proxy/cli`` that defines the command, under the same name."""


class LazyGroup(click.Group):
    """Imports the module of a command when the command is asked for: all of them together take a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of help."""
        del ctx
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, None where there is none."""
        del ctx
        if cmd_name not in MODULES:
            return None
        with _without_garbage_collection():
            command: click.Command = getattr(import_module(f"proxy.cli.{MODULES[cmd_name]}"), cmd_name)
        return command


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Switch the garbage collector off during an import: its passes over the new objects take a tenth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="capi-proxy")
def main() -> None:
    """A first-party proxy that mirrors Meta Pixel events to the Conversions API, each counted once."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
