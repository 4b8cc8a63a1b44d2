"""The command ``password``."""

import secrets
import sys

import click

from proxy.config.password_hash import SALT_BYTES, hash_of

_LEAST = 12


@click.command()
def password() -> None:
    """Ask for a password, and print what may stand in the configuration in its place.

    The line goes to server.operator_password. From a pipe, the first line is the password.
    """
    given = _prompted_password() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if len(given) < _LEAST:
        raise click.UsageError(f"too short; accepted: {_LEAST} characters or more")
    click.echo(str(hash_of(given, secrets.token_bytes(SALT_BYTES))))


def _prompted_password() -> str:
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
