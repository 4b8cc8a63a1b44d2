"""Which server of several is the one to write to: the one on the highest timeline.

A former primary that comes back after a fail-over still takes sessions and statements, but is on a lower timeline. All
servers are asked at once, so that a server that hangs does not delay the others. Host names are resolved again each
time, since a fail-over may change their addresses.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from proxy.config.database_url import server_urls
from proxy.queue.postgres.errors import DatabaseAwayError, error_text, is_lasting
from proxy.queue.postgres.session import CONNECT_S, Facts, Session

_Attempts: TypeAlias = dict[asyncio.Task[Session], str]
"""Attempts to connect, and the url of each."""


class Hosts:
    """The servers of one database; remembers the highest timeline."""

    def __init__(self, url: str, *, schema: str, name: str) -> None:
        """Take the servers.

        Args:
            url: ``postgresql://user:password@host:port,host:port/database``.
            schema: Where our tables are.
            name: The application name under which the server lists our sessions.

        Raises:
            ValueError: when the url is not valid.
        """
        self._urls = server_urls(url)
        self._schema = schema
        self._name = name
        self.timeline = 0
        """The highest timeline on which any of the servers was seen."""

    async def connect_to_primary(self) -> tuple[str, Session]:
        """Connect to the server to write to; return its address, and the session.

        Raises:
            DatabaseAwayError: when there is none; ``__cause__`` is the error of a server, if possible one that a
                person must mend.
        """
        urls = [url for found in await asyncio.gather(*map(_resolved, self._urls)) for url in found]
        tasks = {asyncio.create_task(self.open(url)): url for url in urls}
        try:
            await asyncio.wait(tasks, timeout=CONNECT_S)
            return await self._choose(tasks)
        except asyncio.CancelledError:
            for _, session in await _opened(tasks):
                session.end()
            raise

    async def _choose(self, tasks: _Attempts) -> tuple[str, Session]:
        """Return the session with the server to write to, and close the others; see ``connect_to_primary``."""
        sessions = await _opened(tasks)
        self.timeline = max([self.timeline, *(session.facts.timeline for _, session in sessions)])
        choice = primary_index([session.facts for _, session in sessions], self.timeline)
        await asyncio.gather(*(session.close() for number, (_, session) in enumerate(sessions) if number != choice))
        if choice is None:
            raise DatabaseAwayError(_why_none(tasks, sessions)) from _first_error(tasks)
        return sessions[choice]

    async def open(self, url: str) -> Session:
        """Connect to one server, whether or not it takes writes.

        Raises:
            Exception: whatever asyncpg raises; see errors.py.
        """
        return await Session.open(url, schema=self._schema, name=self._name)


def primary_index(servers: Sequence[Facts], highest: int) -> int | None:
    """Return the index of the server to write to, of equal ones the first; None if no server is sound.

    Args:
        servers: What they say of themselves.
        highest: The highest timeline ever seen.
    """
    sound = [number for number, facts in enumerate(servers) if not facts.read_only and facts.timeline >= highest]
    return max(sound, key=lambda number: servers[number].timeline, default=None)


async def _opened(tasks: _Attempts) -> list[tuple[str, Session]]:
    """Return the sessions that are open by now; cancel the other attempts to connect, which run no statement yet."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return [(url, task.result()) for task, url in tasks.items() if not task.cancelled() and not task.exception()]


def _first_error(tasks: _Attempts) -> BaseException | None:
    """Return an error that a person must mend, if there is any, or else the first."""
    errors = [error for task in tasks if not task.cancelled() and (error := task.exception())]
    lasting = [error for error in errors if is_lasting(error)]
    return next(iter([*lasting, *errors]), None)


def _why_none(tasks: _Attempts, sessions: Sequence[tuple[str, Session]]) -> str:
    if not sessions:
        error = _first_error(tasks)
        return f"no server can be reached: {error_text(error) if error else 'none answers'}"
    if all(session.facts.read_only for _, session in sessions):
        return "no server takes writes"
    return "the server that takes writes is behind one that did before: it was left by a fail-over"


async def _resolved(url: str) -> list[str]:
    """Return the url once for each address of its host name.

    Unchanged if there is one address, if it cannot be resolved, or if a certificate must match the name.
    """
    parts = urlsplit(url)
    if dict(parse_qsl(parts.query)).get("sslmode") == "verify-full" or not parts.hostname:
        return [url]
    user, at, host = parts.netloc.rpartition("@")
    with suppress(OSError, UnicodeError):
        lookup = asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
        async with asyncio.timeout(CONNECT_S):
            found = await lookup
        addresses = dict.fromkeys(str(address[4][0]) for address in found)
        if len(addresses) > 1:
            port = host.rpartition(":")[2]
            hosts = [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in addresses]
            return [urlunsplit(parts._replace(netloc=f"{user}{at}{address}")) for address in hosts]
    return [url]
