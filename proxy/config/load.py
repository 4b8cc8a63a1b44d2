"""TOML and environment → frozen ``Settings``; every mistake at once, each with its path, value and what is accepted.

The only module that reads the environment and secret files, once, at start.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from proxy.config.consent_managers import CONSENT_MANAGERS
from proxy.config.hosts import ascii_host
from proxy.config.schema import Address, Server, Settings, address_of

_SECRETS = {"secret", "old_secrets", "access_token", "app_secret", "operator_password", "access_keys"}
_REFERENCE = re.compile(r"^(env|file):")


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


@dataclass(frozen=True, slots=True)
class Config:
    """Settings as written, and what became of them on this machine."""

    settings: Settings
    data_dir: Path


def load(path: Path, environment: Mapping[str, str], unused: Collection[str] = ()) -> Config:
    """Read and check a configuration file.

    Args:
        path: The TOML file.
        environment: The variables that ``env:NAME`` may name.
        unused: Keys of secrets that are left empty without looking for them.

    Raises:
        ConfigError: with every mistake found.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([Problem(str(path), f"cannot be read ({error})", "a readable TOML file")]) from error
    return parse(raw, environment, base=path.parent, unused=unused)


def parse(
    raw: Mapping[str, Any], environment: Mapping[str, str], *, base: Path, unused: Collection[str] = ()
) -> Config:
    """Check a configuration already read from TOML; relative paths start at ``base``.

    Args:
        raw: The tables of the file.
        environment: The variables that ``env:NAME`` may name.
        base: The directory of the file.
        unused: Keys of secrets that are left empty without looking for them.

    Raises:
        ConfigError: with every mistake found.
    """
    reader = _Secrets(environment, base)
    problems = list(_contradictions(raw))
    try:
        settings = Settings.model_validate(raw, context={"resolve": reader, "unused": unused})
    except ValidationError as error:
        raise ConfigError([*_problems(error), *problems]) from None
    if problems:
        raise ConfigError(problems)
    return Config(settings, base / settings.server.data_dir)


class _Secrets:
    """Resolves ``env:NAME`` and ``file:PATH``."""

    def __init__(self, environment: Mapping[str, str], base: Path) -> None:
        self._environment = environment
        self._base = base

    def __call__(self, reference: str, /) -> str:
        kind, _, name = reference.partition(":")
        if kind == "env":
            if not (value := self._environment.get(name, "")):
                raise ValueError(f"the environment has no {name}")
            return value
        if kind == "file":
            return self._read(name)
        return reference

    def _read(self, name: str) -> str:
        try:
            value = (self._base / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the file {name} cannot be read: {type(error).__name__}") from error
        if not value:
            raise ValueError(f"the file {name} is empty")
        return value


def _problems(error: ValidationError) -> list[Problem]:
    entries = error.errors(include_url=False)
    locations = list(map(_location, entries))
    # A list whose members are wrong is also reported as too short, and a union once for each of its types.
    kept = [
        entry
        for entry, location in zip(entries, locations, strict=True)
        if not any(other[: len(location)] == location != other for other in locations)
    ]
    return list(dict.fromkeys(_problem(entry) for entry in kept))


def _problem(entry: Any) -> Problem:
    location = _location(entry)
    if entry["type"] == "extra_forbidden":
        return Problem(_path(location), "is not a known key", f"one of {', '.join(_keys_beside(location))}")
    value = "missing" if entry["type"] == "missing" else _shown(location, entry["input"], entry["msg"])
    return Problem(_path(location), value, _description(location))


def _location(entry: Any) -> tuple[str | int, ...]:
    """Return where a mistake is, without what pydantic adds for the members of a union, which no file contains."""
    location = entry["loc"]
    if entry["type"] == "extra_forbidden":  # the key as the file has it
        return tuple(location)
    return tuple(part for part in location if isinstance(part, int) or part.isidentifier())


def _path(location: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _shown(location: tuple[str | int, ...], value: object, message: str) -> str:
    if isinstance(value, dict | list):  # may hold secrets deeper down
        return "a table" if isinstance(value, dict) else f"a list of {len(value)}"
    if _SECRETS.isdisjoint(location):
        return repr(value)
    reference = isinstance(value, str) and _REFERENCE.match(value)
    detail = message.removeprefix("Value error, ")
    return f"{value!r} ({detail})" if reference else f"a secret ({detail})"


def _field(location: tuple[str | int, ...]) -> Any:
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


def _description(location: tuple[str | int, ...]) -> str:
    field = _field(location)
    return field.description if field else "nothing here"


def _keys_beside(location: tuple[str | int, ...]) -> list[str]:
    parent = _field(location[:-1])
    model = _model_of(parent.annotation) if parent else Settings
    return list(getattr(model, "model_fields", {}))


def _contradictions(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield mistakes between values, looking at whatever is well-formed enough, so that none hides another."""
    yield from _open_operator(_table(raw.get("server")))
    yield from _same_port(_table(raw.get("server")))
    yield from _two_headers(_table(raw.get("server")))
    yield from _announced_by_nobody(_table(raw.get("server")))
    sites = [_table(site) for site in _list(raw.get("site"))]
    yield from _twice("name", [str(site.get("name", "")) for site in sites])
    yield from _same_doors(sites)
    for index, site in enumerate(sites):
        yield from _same_leaves(index, site)
        yield from _unasked(index, site)
        yield from _not_yet(index, site)
        yield from _pixel_twice(index, site)
    yield from _different_tokens(sites)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _listener(server: Mapping[str, Any], key: str) -> Address | None:
    try:
        return address_of(server.get(key, Server.model_fields[key].default.authority))
    except ValueError:
        return None


def _open_operator(server: Mapping[str, Any]) -> Iterator[Problem]:
    listener = _listener(server, "operator_listen")
    if listener and not listener.is_loopback and not server.get("operator_password"):
        accepted = "a password, since operator_listen is not loopback"
        yield Problem("server.operator_password", "missing", accepted)


def _same_port(server: Mapping[str, Any]) -> Iterator[Problem]:
    public, operator = _listener(server, "listen"), _listener(server, "operator_listen")
    if public and operator and public.clashes_with(operator):
        yield Problem("server.operator_listen", f"{operator.authority!r} (listen has this port)", "another port")


def _two_headers(server: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a preset beside a header of the owner's own: one of them would be passed over in silence."""
    if server.get("client_ip_preset") and "client_ip_header" in server:
        value = f"{server['client_ip_preset']!r} beside client_ip_header"
        yield Problem("server.client_ip_preset", value, "one of the two keys")


def _announced_by_nobody(server: Mapping[str, Any]) -> Iterator[Problem]:
    if server.get("proxy_protocol") is True and not server.get("trusted_proxies"):
        yield Problem("server.proxy_protocol", "True without trusted_proxies", "true with the balancer's network there")


def _twice(key: str, values: list[str]) -> Iterator[Problem]:
    for value, count in Counter(filter(None, values)).items():
        if count > 1:
            indexes = [index for index, other in enumerate(values) if other == value]
            yield Problem(f"site[{indexes[1]}].{key}", f"{value!r} (also site[{indexes[0]}])", "another for each site")


def _same_doors(sites: list[dict[str, Any]]) -> Iterator[Problem]:
    """Yield sites that share a prefix and a domain, so that no request could tell them apart."""
    taken: dict[tuple[str, str], int] = {}
    for index, site in enumerate(sites):
        prefix = str(site.get("prefix", "")).strip("/")
        for domain in map(str, _list(site.get("domains")) if prefix else ()):
            other = taken.setdefault((prefix, ascii_host(domain)), index)
            if other != index:
                yield Problem(f"site[{index}].prefix", f"{prefix!r} on {domain} (also site[{other}])", "another prefix")


def _same_leaves(index: int, site: Mapping[str, Any]) -> Iterator[Problem]:
    defaults = {"tag_name": "m.js", "collect_name": "e", "image_name": "n.gif", "choice_name": "c"}
    taken: dict[str, str] = {}
    for key, default in defaults.items():
        leaf = str(site.get(key, default))
        if leaf in taken:
            yield Problem(f"site[{index}].{key}", f"{leaf!r} (also {taken[leaf]})", "four different names")
        taken[leaf] = key


def _unasked(index: int, site: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield consent managers that nothing waits for, and the words that one of them needs and that have no default."""
    sources = _list(site.get("consent_from"))
    if sources and site.get("consent") != "required":
        accepted = '"required", since consent_from names who is asked'
        yield Problem(f"site[{index}].consent", repr(site.get("consent", "pixel")), accepted)
    cmp = _table(site.get("cmp"))
    options = ((name, option) for name, manager in CONSENT_MANAGERS.items() for option in manager.options)
    for name, option in options:
        if option.required and name in sources and not cmp.get(option.name):
            yield Problem(f"site[{index}].cmp.{option.name}", "missing", f"a name, since consent_from has {name}")


def _not_yet(index: int, site: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the keys of the contract that this version does not carry out; silence would look like working."""
    if site.get("access_keys"):
        yield Problem(f"site[{index}].access_keys", "a list", "[] (this version takes no server events)")


def _pixel_twice(index: int, site: Mapping[str, Any]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, pixel in enumerate(map(_table, _list(site.get("pixel")))):
        identity = str(pixel.get("id"))
        if first.setdefault(identity, number) != number:
            value = f"{identity!r} (also site[{index}].pixel[{first[identity]}])"
            yield Problem(f"site[{index}].pixel[{number}].id", value, "each pixel of a site once")


def _different_tokens(sites: list[dict[str, Any]]) -> Iterator[Problem]:
    """Yield pixels that stand in several places with different means to send: one lane delivers for all of them."""
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for index, site in enumerate(sites):
        for number, pixel in enumerate(map(_table, _list(site.get("pixel")))):
            path = f"site[{index}].pixel[{number}].id"
            earlier, means = first.setdefault(str(pixel.get("id")), (path, pixel))
            for key in ("access_token", "app_secret", "test_event_code", "test_event_until"):
                if means.get(key) != pixel.get(key):
                    value = f"{pixel.get('id')!r} has another {key} than {earlier}"
                    yield Problem(path, value, f"one {key} for one pixel")
