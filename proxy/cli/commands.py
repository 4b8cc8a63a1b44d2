"""The command line: every command by its name. Exit codes: 0 good, 1 a check failed, 2 wrong usage or configuration."""

import logging

import click

from proxy import __version__
from proxy.cli.check import check
from proxy.cli.dead import dead
from proxy.cli.events import events
from proxy.cli.export import export
from proxy.cli.persons import erase, suppressions
from proxy.cli.send import send
from proxy.cli.serve import demo, serve, simulator
from proxy.cli.snippet import snippet
from proxy.cli.stats import stats
from proxy.cli.terminal import Lines


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="capi-proxy")
def main() -> None:
    """A first-party proxy that mirrors Meta Pixel events to the Conversions API, each counted once."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


for command in (serve, demo, simulator, check, snippet, events, stats, dead, send, erase, suppressions, export):
    main.add_command(command)
