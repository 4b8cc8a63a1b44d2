"""Secrets by reference: ``env:NAME`` and ``file:PATH``."""

from collections.abc import Mapping
from pathlib import Path


class SecretReader:
    """Turns references into the secrets they name."""

    def __init__(self, environment: Mapping[str, str], base: Path) -> None:
        """Take the variables that ``env:NAME`` may name, and the directory that ``file:PATH`` is relative to."""
        self._environment = environment
        self._base = base

    def __call__(self, reference: str, /) -> str:
        """Return the secret that a reference names, or the text itself if it is not a reference.

        Raises:
            ValueError: when the variable or the file is missing or empty.
        """
        kind, _, name = reference.partition(":")
        if kind == "env":
            return self._variable(name)
        if kind == "file":
            return self._file(name)
        return reference

    def _variable(self, name: str) -> str:
        if not (value := self._environment.get(name, "")):
            raise ValueError(f"the environment has no {name}")
        return value

    def _file(self, name: str) -> str:
        try:
            value = (self._base / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the file {name} cannot be read: {type(error).__name__}") from error
        if not value:
            raise ValueError(f"the file {name} is empty")
        return value
