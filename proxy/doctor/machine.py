"""What the machine allows the proxy, and what it allows others: descriptors, ports, the configuration's file."""

import resource
import socket
import tomllib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from proxy.config.address import Address
from proxy.config.load import Config
from proxy.doctor.finding import Finding
from proxy.installation import UnsafeInstallationError, require_c_parser
from proxy.queue.sqlite.inspect import is_held

_RESERVE = 256
"""Descriptors that the proxy keeps for Graph, its operator and its files."""
_SECRET_KEYS = {
    *("secret", "old_secrets", "operator_password", "access_token", "app_secret", "access_keys", "url"),
    *("user", "password"),
}
_HOOK = ("webhook", "url")
"""A table and its key: who has the address of a webhook can write there."""
_REFERENCES = ("env:", "file:")
_CONNECT_S = 0.5


def findings(config: Config, *, is_own: bool = False) -> Iterator[Finding]:
    """Yield what stands between the proxy and this machine; ``is_own``: this process is the proxy."""
    try:
        require_c_parser()
    except UnsafeInstallationError as error:
        yield Finding(
            "parser_missing", "aiohttp", str(error), "pip install --force-reinstall --only-binary :all: aiohttp"
        )
    yield from _descriptors(config)
    yield from _config_file(config)
    if not is_own:
        yield from _ports(config)


def _descriptors(config: Config) -> Iterator[Finding]:
    """Yield a limit that the proxy cannot raise by itself as far as it needs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = config.settings.limits.connections + _RESERVE
    if hard != resource.RLIM_INFINITY and hard < needed:
        seen = f"{hard} at most, and limits.connections = {config.settings.limits.connections} needs {needed}"
        yield Finding("descriptors_few", "limits.connections", seen, f"LimitNOFILE={needed}")


def _config_file(config: Config) -> Iterator[Finding]:
    if config.file is None:
        return
    try:
        if not config.file.stat().st_mode & 0o077:
            return
        written = sorted(set(_written_out(tomllib.loads(config.file.read_text(encoding="utf-8")))))
    except (OSError, ValueError):
        return  # it was read a moment ago, and a change is for the next run
    if written:
        seen = f"{config.file} holds {', '.join(written)} written out, and other users may read it"
        yield Finding("config_file_open", "", seen, f"chmod 600 {config.file}")


def _written_out(table: dict[str, Any], name: str = "") -> Iterator[str]:
    """Yield the keys of secrets whose values stand in the file itself, in a table of a name."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _written_out(value, key)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for each in value:
                yield from _written_out(each, key)
        elif key in _SECRET_KEYS:
            values = value if isinstance(value, list) else [value]
            if any(_is_secret(each, is_address=(name, key) != _HOOK) for each in values):
                yield key


def _is_secret(value: object, *, is_address: bool) -> bool:
    """Tell whether a value is a secret itself; of what may be a mere address, whether it holds a password."""
    if not isinstance(value, str) or not value or value.startswith(_REFERENCES):
        return False
    return "://" not in value or not is_address or bool(urlsplit(value).password)


def _ports(config: Config) -> Iterator[Finding]:
    """Yield ports that somebody listens on while no proxy works in ``data_dir``."""
    server = config.settings.server
    try:
        if is_held(config.data_dir):
            return
    except OSError:
        return  # a finding about data_dir already
    for key in ("listen", "operator_listen"):
        address: Address = getattr(server, key)
        # What answers at another address may be a machine in between.
        if address.port and address.from_here.is_loopback and _answers(address.from_here):
            yield Finding("port_taken", f"server.{key}", f"another program listens on {address.authority}")


def _answers(address: Address) -> bool:
    try:
        socket.create_connection((address.host, address.port), timeout=_CONNECT_S).close()
    except OSError:
        return False
    return True
