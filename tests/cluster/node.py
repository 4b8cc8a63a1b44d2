"""A PostgreSQL server as a process on loopback: made, killed, frozen, promoted, and brought back as a standby.

More than 250 lines: all that one server can be made to do is read together.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from disk import Disk
from machine import free_port
from polling import until
from postgres_server import as_server, programs
from processes import family, limit_files, send

USER = DATABASE = "postgres"
_SQL_S = 30.0
_STARTED = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
cluster_name = '{name}'
synchronous_standby_names = 'ANY 1 ({names})'
wal_log_hints = on
wal_keep_size = 96MB
max_wal_size = 64MB
wal_retrieve_retry_interval = 100ms
wal_receiver_timeout = 10s
wal_sender_timeout = 10s
shared_buffers = 32MB
max_connections = 60
"""


@dataclass
class Node:
    """One server with a directory of its own."""

    name: str
    names: Sequence[str]
    """The names of all nodes; the primary waits for one of the others."""
    disk: Disk
    database: str = DATABASE
    """The database in which statements run."""
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None
    is_frozen: bool = False

    @property
    def data(self) -> Path:
        """Return its data directory."""
        return self.disk.path / "data"

    @property
    def runs(self) -> bool:
        """Tell whether its process lives."""
        return self.process is not None and self.process.returncode is None

    # -- creation

    async def make(self) -> None:
        """Create an empty database cluster."""
        await self._program("initdb", "-D", str(self.data), "-U", USER, "-A", "trust", "--wal-segsize=1", "-N")

    async def copy(self, source: int, upstream: int) -> None:
        """Become a fresh standby.

        Args:
            source: port of the primary that is copied.
            upstream: port at which it is followed.
        """
        shutil.rmtree(self.data, ignore_errors=True)
        address = ("-h", "127.0.0.1", "-p", str(source), "-U", USER)
        await self._program("pg_basebackup", "-D", str(self.data), *address, "-X", "stream", "-c", "fast", "-N")
        self._be_standby(upstream)

    async def rewind(self, source: int, upstream: int) -> bool:
        """Become a standby again by removing what the new primary does not have; tell whether that worked.

        Args:
            source: port of the new primary.
            upstream: port at which it is followed.
        """
        server = f"host=127.0.0.1 port={source} user={USER} dbname={DATABASE}"
        try:
            await self._program("pg_rewind", "-D", str(self.data), "--source-server", server, "-N")
        except RuntimeError:
            return False
        self._be_standby(upstream)
        return True

    async def _program(self, name: str, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *as_server(programs() / name, *arguments),
            cwd="/",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{name}: {output.decode()[-1000:]}")

    def _be_standby(self, upstream: int) -> None:
        (self.data / "postgresql.auto.conf").write_text(f"primary_conninfo = '{self._following(upstream)}'\n")
        self._own(self.data / "standby.signal")

    def _following(self, upstream: int) -> str:
        return f"host=127.0.0.1 port={upstream} user={USER} application_name={self.name}" if upstream else ""

    @staticmethod
    def _own(path: Path) -> None:
        path.touch()
        if os.geteuid() == 0:
            shutil.chown(path, USER, USER)

    # -- start and end

    async def start(self, *, seconds: float = 120.0) -> None:
        """Start it and wait until it answers.

        Args:
            seconds: The longest wait.

        Raises:
            RuntimeError: when it ends instead.
            TimeoutError: when it does not answer.
        """
        # A copy or rewind brings the other node's file, so each start writes its own.
        names = ", ".join(self.names)
        (self.data / "postgresql.conf").write_text(_STARTED.format(port=self.port, name=self.name, names=names))
        with (self.disk.path.parent / f"{self.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *as_server(programs() / "postgres", "-D", self.data), cwd="/", stdout=log, stderr=log
            )
        await until(self.answers, seconds=seconds, what=f"{self.name}'s start")

    async def answers(self) -> bool:
        """Tell whether it accepts connections and answers.

        Raises:
            RuntimeError: when its process has ended.
        """
        if not self.runs:
            raise RuntimeError(f"{self.name} has ended: {self.log()[-2000:]}")
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return bool(await self.value("SELECT true", limit=5))
        return False

    def freeze(self) -> None:
        """Stop all its processes with SIGSTOP, the parent first."""
        for process in self._processes():
            send(process, signal.SIGSTOP)
        self.is_frozen = True

    def thaw(self) -> None:
        """Let its processes continue."""
        for process in self._processes():
            send(process, signal.SIGCONT)
        self.is_frozen = False

    def fill_disk(self) -> None:
        """Leave no room on its disk; without a disk of its own, forbid any file to grow."""
        if self.disk.own:
            self.disk.fill()
            return
        for process in self._processes():
            limit_files(process, "0")

    def free_disk(self) -> None:
        """Make room on its disk again."""
        self.disk.free()
        for process in self._processes() if self.runs else ():
            limit_files(process, "unlimited")

    async def kill(self) -> None:
        """Kill all its processes at once, as a loss of power would."""
        if self.process is not None and self.runs:
            self.freeze()
            for process in self._processes():
                send(process, signal.SIGKILL)
            await self.process.wait()
        self.is_frozen = False

    async def stop(self) -> None:
        """Shut it down with SIGINT (fast shutdown), and wait until it has ended."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        await self.process.wait()

    def _processes(self) -> list[int]:
        assert self.process
        return family(self.process.pid)

    # -- replication role

    async def follow(self, upstream: int) -> None:
        """Follow the server at a port, or none for 0, without a restart.

        Returns once it no longer receives from the former one.
        """
        receivers = "SELECT count(*) = 0 FROM pg_stat_wal_receiver WHERE sender_port IS DISTINCT FROM $1"
        await self.run(f"ALTER SYSTEM SET primary_conninfo = '{self._following(upstream)}'")
        await self.value("SELECT pg_reload_conf()")

        async def is_detached() -> bool:
            return bool(await self.value(receivers, upstream))

        await until(is_detached, what=f"{self.name} to let go of the primary")

    async def received(self) -> int:
        """Return the position in the primary's log, in bytes, up to which it has the log durably."""
        newest = "greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
        return int(await self.value(f"SELECT {newest} - '0/0'"))

    async def promote(self) -> None:
        """Become the primary.

        Raises:
            RuntimeError: when it ends instead, with its log.
        """
        try:
            assert await self.value("SELECT pg_promote(true, 60)")
        except asyncpg.PostgresConnectionError as error:
            raise RuntimeError(f"{self.name} was not promoted: {self.log()[-4000:]}") from error

    async def timeline(self) -> int:
        """Return the timeline on which a primary writes now."""
        return int(await self.value("SELECT substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"), 16)

    # -- direct connections

    async def connect(self, **settings: Any) -> asyncpg.Connection:
        """Connect directly, not through a relay."""
        limits = {"timeout": _SQL_S, "command_timeout": _SQL_S, **settings}
        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=USER, database=self.database, ssl=False, **limits
        )

    async def rows(self, statement: str, *arguments: object, limit: float = _SQL_S) -> list[Any]:
        """Return the rows of a statement, on a connection of its own."""
        connection = await self.connect(timeout=limit, command_timeout=limit)
        try:
            rows: list[Any] = await connection.fetch(statement, *arguments)
        finally:
            connection.terminate()
        return rows

    async def value(self, statement: str, *arguments: object, limit: float = _SQL_S) -> Any:
        """Return the first column of the first row, None if there is no row."""
        rows = await self.rows(statement, *arguments, limit=limit)
        return rows[0][0] if rows else None

    async def run(self, *statements: str) -> None:
        """Run statements one by one on a new connection."""
        connection = await self.connect()
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            connection.terminate()

    def log(self) -> str:
        """Return the log of its processes."""
        return (self.disk.path.parent / f"{self.name}.log").read_text(errors="replace")
