"""The commands under ``alerts``."""

import asyncio
import secrets
import sys
from pathlib import Path

import click

from proxy.alerts.message import check_message
from proxy.alerts.receivers import ReceiverAnswer, receivers_of
from proxy.alerts.start import sender_of
from proxy.cli.options import config_option, load_or_exit
from proxy.cli.output import fail
from proxy.cli.terminal import printable
from proxy.config.alerts import AlertSettings
from proxy.installation import now_ms

_OTHER_SECRETS = ("access_token", "app_secret", "access_keys", "operator_password", "secret", "old_secrets")


@click.group()
def alerts() -> None:
    """Messages to whoever shall hear when something is wrong."""


@alerts.command()
@config_option
def test(path: Path) -> None:
    """Send one test message to each receiver, and say what it answered. The proxy need not run."""
    settings = load_or_exit(path, unused=_OTHER_SECRETS).settings.alerts
    answers = asyncio.run(_send_tests(settings))
    if not answers:
        fail("nobody is told: the configuration has neither [[alerts.webhook]] nor [[alerts.email]]")
    for name, answer in answers:
        click.echo(printable(f"{'sent' if answer.taken else 'FAILED'}  {name}  {answer.text}"))
    sys.exit(0 if all(answer.taken for _, answer in answers) else 1)


async def _send_tests(settings: AlertSettings) -> list[tuple[str, ReceiverAnswer]]:
    receivers, now = receivers_of(settings), now_ms()
    message = check_message(secrets.token_hex(12), sender_of(settings), now)
    answers = await asyncio.gather(*(receiver.send(message) for receiver in receivers))
    return [(receiver.name, answer) for receiver, answer in zip(receivers, answers, strict=True)]
