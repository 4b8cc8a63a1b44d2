"""The command ``events``."""

from pathlib import Path
from typing import Any

import click

from proxy.cli.event_choice import WAITING, event_choice_options, filter_of
from proxy.cli.options import config_option, json_option, limit_option
from proxy.cli.output import print_rows
from proxy.cli.questions import ask

_COLUMNS = (
    *("arrived", "status", "reason", "name", "id", "site", "pixel", "browser_copy", "action_source"),
    *("value", "currency", "attempts", "code", "fbtrace_id", "findings"),
)
_WAITING_COLUMNS = (
    *("arrived", "name", "id", "site", "pixel", "browser_copy", "action_source", "attempts", "held_until", "suspect"),
    *("value", "currency", "findings"),
)


@click.command()
@config_option
@event_choice_options
@limit_option
@json_option
def events(path: Path, *, as_json: bool, **chosen: Any) -> None:
    """List events, those that arrived last first.

    Finished ones, unless --status is waiting; with the number of an event as --since in the order in which they ended.
    Through the running proxy where there is one, else from data_dir. No token is needed, and of the secrets none but
    the operator's password, for the running proxy; what waits can be read in data_dir with its secret alone.
    """
    wanted = filter_of(**chosen)
    if chosen["status"] == WAITING:
        waiting = ask(path, lambda client: client.waiting(wanted), reads=True)
        print_rows(waiting, _WAITING_COLUMNS, as_json=as_json)
    else:
        print_rows(ask(path, lambda client: client.events(wanted), reads=True), _COLUMNS, as_json=as_json)
