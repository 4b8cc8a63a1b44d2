"""The options by which ``events`` and ``tail`` choose events."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import click

from proxy.cli.moments import MomentType
from proxy.model.event import BrowserCopy
from proxy.model.ledger import Status
from proxy.queue.contract import FROM_SERVER, Filter

WAITING: Final = "waiting"
_STATUS = click.Choice([*(status.value for status in Status), WAITING], case_sensitive=False)
_COPY = click.Choice([*(copy.value for copy in BrowserCopy), FROM_SERVER], case_sensitive=False)


class SinceType(click.ParamType[str]):
    """A moment, or the number of an event."""

    name = "moment|number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``n`` and the number of an event, or ``m`` and a moment in milliseconds, in one text.

        Args:
            value: The text that was written.
            param: The option it was written for.
            ctx: The context of the command.
        """
        text = str(value)
        is_number = text.isdecimal() and text.isascii() and len(text) < 19
        return f"n{int(text)}" if is_number else f"m{MomentType().convert(text, param, ctx)}"


def event_choice_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add all options that choose events, those about times included."""
    for option in (
        click.option(
            "--to", "until", type=MomentType(is_end=True), help="Only what arrived before; of a date that day too."
        ),
        click.option("--from", "begin", type=MomentType(), help="Only what arrived from then on: 14:03, 2026-11-01, …"),
        click.option("--since", type=SinceType(), help="As --from: 2h, 7d, …; or only what is newer than this number."),
    ):
        command = option(command)
    return timeless_event_options(command)


def timeless_event_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose events, except those about times."""
    for option in (
        click.option("--action-source", default="", help="Where it happened, in Meta's words: physical_store, …"),
        click.option("--browser-copy", type=_COPY, help="What the page's Pixel did; server: it has none."),
        click.option("--reason", default="", help="Why it ended so."),
        click.option("--site", default="", help="Name of a site."),
        click.option("--pixel", default="", help="Pixel id."),
        click.option("--id", default="", help="Event id."),
        click.option("--name", default="", help="Event name."),
        click.option("--status", type=_STATUS, help="How the event ended; waiting: it has not yet."),
    ):
        command = option(command)
    return command


def filter_of(
    status: str | None,
    *,
    since: str | None = None,
    begin: int | None = None,
    until: int | None = None,
    browser_copy: str | None = None,
    **chosen: Any,
) -> Filter:
    """Return what the options choose.

    Args:
        status: The status of finished events; None or ``waiting`` for any.
        since: As ``SinceType`` returns it.
        begin: Only what arrived from then on, in milliseconds.
        until: Only what arrived before, in milliseconds.
        browser_copy: What the page's Pixel did; None for any.
        chosen: Other members of ``Filter``.
    """
    number = int(since[1:]) if since and since[0] == "n" else None
    moments = [moment for moment in (begin, int(since[1:]) if since and number is None else None) if moment is not None]
    since_ms = max(moments, default=None)
    if since_ms is not None and until is not None and since_ms >= until:
        raise click.UsageError("--from, --since: accepted: a moment before --to")
    ended = None if status in {None, WAITING} else Status(f"{status}")
    wanted = Filter(status=ended, browser_copy=browser_copy or "", **chosen)
    return replace(wanted, since=number, since_ms=since_ms, until_ms=until)
