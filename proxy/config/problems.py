"""What is wrong with a configuration, each mistake with its path, its value and what is accepted."""

import re
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from proxy.config.schema import Settings

_SECRETS = {"secret", "old_secrets", "access_token", "app_secret", "operator_password", "access_keys"}
_SECRETS_IN = {"queue": {"url"}, "alerts": {"url", "user", "password"}}
"""By table: keys that may hold a password; other tables have keys of the same names that hold none."""
_REFERENCE = re.compile(r"^(env|file):")

Location = tuple[str | int, ...]
"""Where a value stands: names of keys, and indexes of the members of lists."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration."""

    path: str
    value: str
    accepted: str

    def __str__(self) -> str:
        return f"{self.path}: {self.value}; accepted: {self.accepted}"


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` lists every reason."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def problems_of(error: ValidationError) -> list[Problem]:
    """Return what pydantic found wrong, each mistake once."""
    entries = error.errors(include_url=False)
    locations = list(map(_location, entries))
    # pydantic reports a list with wrong members as too short as well, and a wrong union once for each of its types.
    innermost = [
        entry
        for entry, location in zip(entries, locations, strict=True)
        if not any(deeper[: len(location)] == location != deeper for deeper in locations)
    ]
    return list(dict.fromkeys(_problem(entry) for entry in innermost))


def _problem(entry: Any) -> Problem:
    location = _location(entry)
    if entry["type"] == "extra_forbidden":
        return Problem(_path(location), "is not a known key", f"one of {', '.join(_keys_beside(location))}")
    value = "missing" if entry["type"] == "missing" else _printed_value(location, entry["input"], entry["msg"])
    return Problem(_path(location), value, _description(location))


def _location(entry: Any) -> Location:
    """Return where a mistake is, without the names of types that pydantic adds for the members of a union."""
    location = entry["loc"]
    if entry["type"] == "extra_forbidden":  # the key as the file has it
        return tuple(location)
    return tuple(part for part in location if isinstance(part, int) or part.isidentifier())


def _path(location: Location) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _printed_value(location: Location, value: object, message: str) -> str:
    if isinstance(value, dict | list):  # may hold secrets deeper down
        return "a table" if isinstance(value, dict) else f"a list of {len(value)}"
    if _SECRETS.isdisjoint(location) and _SECRETS_IN.get(str(location[0]), set()).isdisjoint(location):
        return repr(value)
    is_reference = isinstance(value, str) and _REFERENCE.match(value)
    detail = message.removeprefix("Value error, ")
    return f"{value!r} ({detail})" if is_reference else f"a secret ({detail})"


def _field(location: Location) -> Any:
    """Return the pydantic field at a location, or None."""
    model: Any = Settings
    field = None
    for name in (part for part in location if isinstance(part, str)):
        field = getattr(model, "model_fields", {}).get(name)
        if field is None:
            return None
        model = _model_of(field.annotation)
    return field


def _model_of(annotation: Any) -> Any:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _description(location: Location) -> str:
    field = _field(location)
    return field.description if field else "nothing here"


def _keys_beside(location: Location) -> list[str]:
    parent = _field(location[:-1])
    model = _model_of(parent.annotation) if parent else Settings
    return list(getattr(model, "model_fields", {}))
