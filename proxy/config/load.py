"""TOML and environment → frozen ``Settings``; every mistake at once, each with its path, value and what is accepted.

This module and ``secrets.py`` are the only ones that read the environment and secret files, once, at the start.
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from proxy.config.checks import contradictions
from proxy.config.problems import ConfigError, Problem, problems_of
from proxy.config.repeated_keys import repeated_keys
from proxy.config.schema import Settings
from proxy.config.secrets import SecretReader


@dataclass(frozen=True, slots=True)
class Config:
    """The settings as written, and what was found for them on this machine."""

    settings: Settings
    data_dir: Path
    missing: Mapping[str, str] = field(default_factory=dict)
    """Secrets that were not found, if they may be missing: by the setting's key the reference, such as ``env:NAME``."""
    file: Path | None = None
    """The file that it was read from; None if there was no file."""


def load(
    path: Path, environment: Mapping[str, str], unused: Collection[str] = (), *, may_lack_secrets: bool = False
) -> Config:
    """Read and check a configuration file.

    Args:
        path: The TOML file.
        environment: The variables that ``env:NAME`` may name.
        unused: Keys of secrets that are left empty without looking for them.
        may_lack_secrets: Leave empty what is not found, rather than call it a mistake.

    Raises:
        ConfigError: with every mistake found.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([Problem(str(path), f"cannot be read ({error})", "a readable TOML file")]) from error
    config = parse(raw, environment, base=path.parent, unused=unused, may_lack_secrets=may_lack_secrets)
    return replace(config, file=path)


def parse(
    raw: Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    base: Path,
    unused: Collection[str] = (),
    may_lack_secrets: bool = False,
) -> Config:
    """Check a configuration already read from TOML.

    Args:
        raw: The tables of the file.
        environment: The variables that ``env:NAME`` may name.
        base: The directory where relative paths begin.
        unused: Keys of secrets that are left empty without looking for them.
        may_lack_secrets: Leave empty what is not found, rather than call it a mistake.

    Raises:
        ConfigError: with every mistake found.
    """
    problems = list(contradictions(raw))
    missing: dict[str, str] | None = {} if may_lack_secrets else None
    context = {"resolve": SecretReader(environment, base), "unused": unused, "missing": missing}
    try:
        settings = Settings.model_validate(raw, context=context)
    except ValidationError as error:
        raise ConfigError([*problems_of(error), *problems]) from None
    problems += repeated_keys(settings)
    if problems:
        raise ConfigError(problems)
    return Config(settings, base / settings.server.data_dir, missing=missing or {})
