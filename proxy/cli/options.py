"""Options that several commands share, and the configuration they name."""

import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import click

from proxy.config import load
from proxy.config.problems import ConfigError

TOKENS = ("access_token", "app_secret", "access_keys", "alerts")
"""Secrets that only delivery and alerts need; commands that send nothing leave them unread."""

_VARIABLE = "CAPI_PROXY_CONFIG"
_USUAL_FILES = (Path("config.toml"), Path("/etc/capi-proxy/config.toml"))


def _config_file(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path:
    """Return the configuration file that was named, or the first of the usual ones that exists."""
    found = path or next(filter(Path.is_file, _USUAL_FILES), None)
    if found is None:
        files = ", ".join(map(str, _USUAL_FILES))
        raise click.UsageError(f"--config: missing; looked for the variable {_VARIABLE}, then for {files}")
    return found


config_option = click.option(
    "--config",
    "path",
    envvar=_VARIABLE,
    show_envvar=True,
    callback=_config_file,
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The TOML configuration file; without it {' or '.join(map(str, _USUAL_FILES))}.",
)
limit_option = click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000), help="How many.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def event_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options by which events and dead letters are chosen."""
    for option in (
        click.option("--reason", default="", help="Why it ended so."),
        click.option("--id", default="", help="Event id."),
        click.option("--name", default="", help="Event name."),
        click.option("--pixel", default="", help="Pixel id."),
    ):
        command = option(command)
    return command


def load_or_exit(path: Path, unused: Collection[str] = (), *, may_lack_secrets: bool = False) -> load.Config:
    """Read a configuration, or end with exit code 2 and every mistake.

    Args:
        path: The file.
        unused: Keys of secrets that the command does not need; they are not read.
        may_lack_secrets: Whether the other secrets may be missing too.
    """
    try:
        return load.load(path, os.environ, unused, may_lack_secrets=may_lack_secrets)
    except ConfigError as error:
        click.echo(f"{path}: {len(error.problems)} mistake(s)", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        sys.exit(2)
