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
from proxy.queue.sqlite.inspect import is_in_use

_RESERVE = 256
"""Descriptors that the proxy keeps for Graph, its operator and its files."""
_SECRET_KEYS = {
    *("secret", "old_secrets", "operator_password", "access_token", "app_secret", "access_keys", "url"),
    *("user", "password"),
}
_HOOK = ("webhook", "url")
"""Table and key of a webhook's address, which is a secret as a whole: who has it can post messages there."""
_REFERENCES = ("env:", "file:")
_CONNECT_S = 0.5


def findings(config: Config, *, is_own: bool = False) -> Iterator[Finding]:
    """Yield what is wrong with this machine for a proxy; ``is_own``: this process is the proxy itself."""
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
    """Yield a finding if the hard limit of file descriptors, which the proxy cannot raise, is below what it needs."""
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
        written = sorted(set(_plain_secret_keys(tomllib.loads(config.file.read_text(encoding="utf-8")))))
    except (OSError, ValueError):
        return  # the file could be read a moment ago; what has changed since is for the next run
    if written:
        seen = f"{config.file} holds {', '.join(written)} written out, and other users may read it"
        yield Finding("config_file_open", "", seen, f"chmod 600 {config.file}")


def _plain_secret_keys(table: dict[str, Any], name: str = "") -> Iterator[str]:
    """Yield the keys of secrets whose values are written in the file itself.

    Args:
        table: A table of the file; the tables in it are searched too.
        name: The table's key; empty for the whole file.
    """
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _plain_secret_keys(value, key)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for each in value:
                yield from _plain_secret_keys(each, key)
        elif key in _SECRET_KEYS:
            values = value if isinstance(value, list) else [value]
            if any(_is_secret(each, is_address=(name, key) != _HOOK) for each in values):
                yield key


def _is_secret(value: object, *, is_address: bool) -> bool:
    """Tell whether a value is a secret itself; an address is none unless it contains a password.

    Args:
        value: The value.
        is_address: Whether it may be a mere address; False if even an address is a secret.
    """
    if not isinstance(value, str) or not value or value.startswith(_REFERENCES):
        return False
    return "://" not in value or not is_address or bool(urlsplit(value).password)


def _ports(config: Config) -> Iterator[Finding]:
    """Yield ports that another program listens on; no port is tried while a proxy works in ``data_dir``."""
    server = config.settings.server
    try:
        if is_in_use(config.data_dir):
            return
    except OSError:
        return  # there is a finding about data_dir already
    for key in ("listen", "operator_listen"):
        address: Address = getattr(server, key)
        # Only loopback is tried: at another address a machine in between may answer.
        if address.port and address.local_address.is_loopback and _is_listening(address.local_address):
            yield Finding("port_taken", f"server.{key}", f"another program listens on {address.authority}")


def _is_listening(address: Address) -> bool:
    try:
        socket.create_connection((address.host, address.port), timeout=_CONNECT_S).close()
    except OSError:
        return False
    return True
