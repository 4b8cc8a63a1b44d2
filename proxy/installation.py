"""One installation on one machine: its secret and the keys derived from it, its data directory, its queue, its clock.

Which engine keeps the queue is chosen here and nowhere else.
"""

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import aiohttp.http_parser

from proxy import __version__
from proxy.config.load import Config
from proxy.config.schema import Pixel, Settings, Site
from proxy.model.condition import ConditionBoard
from proxy.model.keys import person_key, prefix_of
from proxy.queue.contract import ClosableBooks, QueueBrokenError, WholeQueue
from proxy.queue.seal import Sealer
from proxy.queue.sieve import Sieve
from proxy.queue.spool.spool import Spool
from proxy.queue.sqlite.data_dir import DataDirLock
from proxy.queue.sqlite.engine import LocalQueue
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.permission.install_check import InstallChecks
from proxy.rules.policy import Policy
from proxy.rules.request.client_address import Networks
from proxy.rules.request.routes import Routes

log = logging.getLogger(__name__)

SECRET_FILE = "secret"  # noqa: S105 - a file name


class UnsafeInstallationError(Exception):
    """This Python cannot run the proxy safely; the text says what to install."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A configuration, with the secrets that decrypt what was stored under it."""

    config: Config
    secret: str
    """Empty when the configuration names none and no start has made one yet."""

    @classmethod
    def existing(cls, config: Config) -> Self:
        """Return the installation as it is; nothing is written.

        Raises:
            OSError: when the secret in ``data_dir`` cannot be read.
        """
        return cls(config, _existing_secret(config))

    @classmethod
    def prepared(cls, config: Config) -> Self:
        """Return the installation; make a secret in ``data_dir`` first when there is none.

        Raises:
            OSError: when the secret cannot be read or written.
        """
        return cls(config, _existing_secret(config) or _new_secret(config.data_dir))

    @property
    def settings(self) -> Settings:
        """The settings of the configuration."""
        return self.config.settings

    @property
    def old_secrets(self) -> Sequence[str]:
        """The earlier secrets, which still decrypt what was encrypted with them."""
        return [old.get_secret_value() for old in self.settings.server.old_secrets]

    @property
    def join_days(self) -> int:
        """For how many days sightings are kept: the largest ``join_days`` of all sites, or 7 without a site."""
        return max((site.orders.join_days for site in self.settings.site), default=7)

    def prefixes(self, site: Site) -> Sequence[str]:
        """Return the public paths of a site: its current one, then those that old secrets gave it."""
        if site.prefix:
            return [site.prefix]
        return [prefix_of(secret, site.name) for secret in (self.secret, *self.old_secrets)]

    def pixels(self) -> Sequence[Pixel]:
        """Return the pixels of all sites, each once."""
        return list({pixel.id: pixel for site in self.settings.site for pixel in site.pixel}.values())

    def trusted_networks(self) -> Networks:
        """Return the networks whose forwarding headers are believed."""
        return Networks(self.settings.server.trusted_proxies)

    def routes(self) -> Routes:
        """Return the public paths of all sites."""
        return Routes((site, self.prefixes(site)) for site in self.settings.site)

    def policies(self) -> Mapping[str, Policy]:
        """Return what the rules need of the configuration, by site name."""
        keys, person_keys = VisitorCookieKeys(self.secret, self.old_secrets), self.person_keys()
        return {site.name: Policy(site, keys, person_keys) for site in self.settings.site}

    def person_keys(self) -> Sequence[bytes]:
        """Return the keys of person digests, the current one first."""
        return [person_key(secret) for secret in (self.secret, *self.old_secrets)]

    def install_checks(self) -> InstallChecks:
        """Return the signer and verifier of install-check links."""
        return InstallChecks([self.secret, *self.old_secrets])

    def sealer(self) -> Sealer:
        """Return the object that encrypts and decrypts waiting events."""
        return Sealer(self.secret, self.old_secrets)


def require_c_parser() -> None:
    """Refuse to run on aiohttp's pure Python parser: several request-smuggling defects were found in that parser alone.

    Raises:
        UnsafeInstallationError: when the C parser is missing.
    """
    if not hasattr(aiohttp.http_parser, "HttpRequestParserC"):
        raise UnsafeInstallationError("aiohttp was installed without its C parser: install its wheel for this platform")


@contextmanager
def lock_installation(config: Config) -> Iterator[Installation]:
    """Lock the data directory of a configuration for this process, and make a secret in it when there is none.

    Raises:
        DataDirBusyError: when another process has locked it.
        OSError: when the directory or its secret cannot be made, read or written.
    """
    lock = DataDirLock(config.data_dir)
    try:
        yield Installation.prepared(config)
    finally:
        lock.close()


def _ignore(_error: QueueBrokenError) -> None:
    """Do nothing when the queue breaks: the caller's next call to the queue raises the error anyway."""


async def open_queue(
    installation: Installation,
    now: Callable[[], int],
    *,
    on_broken: Callable[[QueueBrokenError], None] = _ignore,
    conditions: ConditionBoard | None = None,
    sieve: Sieve | None = None,
) -> WholeQueue:
    """Open the queue of a locked installation.

    Args:
        installation: Says where the queue is, which secrets encrypt it and how much it may hold.
        now: The server's clock in milliseconds.
        on_broken: Called once, when the queue breaks and stores nothing any more.
        conditions: Where the queue reports troubles that do not stop it.
        sieve: The filter of suppressed persons to fill, when its memory is shared with other processes.

    Raises:
        QueueBrokenError: when it cannot be opened.
    """
    settings, directory = installation.settings, installation.config.data_dir
    if settings.queue.engine == "postgres":
        shared, place = _shared_place(installation, now)
        queue: WholeQueue = await shared.open_shared(place, on_broken=on_broken, conditions=conditions, sieve=sieve)
        return queue
    if Spool.holds_anything(directory):
        raise QueueBrokenError(f"{directory}: the spool has events of a shared database; start with that once more")
    return LocalQueue.open(
        directory,
        installation.sealer(),
        limits=settings.queue,
        retention=settings.retention,
        now=now,
        on_broken=on_broken,
        join_days=installation.join_days,
        conditions=conditions,
        sieve=sieve,
    )


async def open_books(installation: Installation, now: Callable[[], int]) -> ClosableBooks:
    """Open the books of a locked installation for a command, without delivering its events meanwhile.

    Args:
        installation: Says where the books are.
        now: The server's clock in milliseconds.

    Raises:
        QueueError: when they cannot be opened.
    """
    if installation.settings.queue.engine == "postgres":
        shared, place = _shared_place(installation, now)
        books: ClosableBooks = await shared.open_books(place)
        return books
    return await open_queue(installation, now)


def _shared_place(installation: Installation, now: Callable[[], int]) -> tuple[ModuleType, Any]:
    """Return the module of the PostgreSQL engine, whose driver is an optional dependency, and where its queue is."""
    try:
        shared = import_module("proxy.queue.postgres.start")
    except ModuleNotFoundError as error:
        text = f"queue.engine = \"postgres\" needs {error.name}: pip install 'capi-proxy[postgres]'"
        raise QueueBrokenError(text) from error
    settings, directory, join_days = installation.settings, installation.config.data_dir, installation.join_days
    facts = (directory, installation.sealer(), settings.queue, settings.retention, now, __version__, join_days)
    return shared, shared.SharedPlace(*facts)


def now_ms() -> int:
    """Return the server's clock in milliseconds."""
    return time.time_ns() // 1_000_000


def _existing_secret(config: Config) -> str:
    if configured := config.settings.server.secret.get_secret_value():
        return configured
    path = config.data_dir / SECRET_FILE
    return path.read_text().strip() if path.exists() else ""


def _new_secret(data_dir: Path) -> str:
    path = data_dir / SECRET_FILE
    log.warning("server.secret is not set: one was made in %s; keep it with your backups", path)
    secret = secrets.token_hex(32)
    _write_secret(path, secret)
    return secret


def _write_secret(path: Path, secret: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
