"""The command ``events``."""

from pathlib import Path
from typing import Any

import click

from proxy.cli.options import config_option, event_options, json_option, limit_option
from proxy.cli.output import print_rows
from proxy.cli.questions import ask
from proxy.model.ledger import Status
from proxy.queue.contract import Filter

_COLUMNS = (
    *("at", "status", "reason", "name", "id", "pixel", "browser_copy", "action_source"),
    *("attempts", "fbtrace_id", "findings"),
)
_STATUS = click.Choice([status.value for status in Status], case_sensitive=False)


@click.command()
@config_option
@event_options
@limit_option
@click.option("--status", type=_STATUS, help="How the event ended.")
@click.option("--action-source", default="", help="Where it happened, in Meta's words, such as physical_store.")
@click.option("--since", type=click.IntRange(0), help="Only what is newer than this number (of --json), oldest first.")
@json_option
def events(path: Path, status: str | None, *, as_json: bool, **chosen: Any) -> None:
    """List finished events, newest first; with --since in the order in which they ended."""
    wanted = Filter(status=Status(status) if status else None, **chosen)
    print_rows(ask(path, lambda client: client.events(wanted)), _COLUMNS, as_json=as_json)
