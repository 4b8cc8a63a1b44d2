"""A PostgreSQL cluster of the benches' own: a primary with real fsync, and standbys of which each commit waits for one.

All of it runs on this machine and its one disk, so only the processor time means something: the time that a commit
takes does not include a network.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import rig  # noqa: F401 - it finds the tests' helpers
from postgres_server import as_server, free_port, programs

USER = "capi_bench"
_TICKS = os.sysconf("SC_CLK_TCK")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "512MB",
    "checkpoint_timeout": "15min",
    "max_wal_size": "8GB",
    "log_min_messages": "fatal",
}


@dataclass
class Node:
    """One server of the cluster."""

    name: str
    directory: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """The address of this server alone."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server, and return once it accepts connections."""
        with self.directory.with_suffix(".log").open("ab") as log:
            command = as_server(programs() / "postgres", "-D", self.directory, "-p", str(self.port))
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        run("pg_isready", "-h", "127.0.0.1", "-p", str(self.port), tries=600)

    def stop(self) -> None:
        """Stop the server at once, without a checkpoint."""
        if self.process:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()

    def cpu_s(self) -> float:
        """Return the processor seconds of all processes of this server, those that have ended included."""
        pid = self.process.pid if self.process else 0
        spent = 0
        for stat in _stats():
            if stat.pid == pid:
                spent += stat.own + stat.children
            elif stat.parent == pid:
                spent += stat.own
        return spent / _TICKS


@dataclass(frozen=True)
class _Stat:
    pid: int
    parent: int
    own: int
    children: int


def _stats() -> Iterator[_Stat]:
    """Yield the parent and the processor time of each process on this machine (proc(5))."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        user, system, child_user, child_system = map(int, fields[11:15])
        yield _Stat(int(path.parent.name), int(fields[1]), user + system, child_user + child_system)


def run(program: str, *arguments: str, tries: int = 1) -> None:
    """Run a program of PostgreSQL; if this process is root, as PostgreSQL's own user.

    Args:
        program: Its name.
        arguments: Its arguments.
        tries: How often it is tried until it succeeds.

    Raises:
        RuntimeError: when every try fails.
    """
    error = ""
    for _ in range(tries):
        command = as_server(programs() / program, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if not done.returncode:
            return
        error = done.stdout[-500:] + done.stderr[-1500:]
    raise RuntimeError(f"{program}: {error}")


@dataclass
class Cluster:
    """A primary and its standbys."""

    primary: Node
    standbys: list[Node]

    @property
    def url(self) -> str:
        """The address that names all servers, the primary first."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in (self.primary, *self.standbys))
        return f"postgresql://{USER}@{hosts}/postgres"

    def cpu_s(self) -> tuple[float, float]:
        """Return the processor time of the primary, and of all standbys together."""
        return self.primary.cpu_s(), sum(standby.cpu_s() for standby in self.standbys)


@asynccontextmanager
async def cluster(place: Path, standbys: int, **settings: str) -> AsyncIterator[Cluster]:
    """Run a new cluster below a directory.

    Args:
        place: A directory on a disk, for its files.
        standbys: How many standbys there are; if there are any, a commit waits for one of them.
        settings: Settings of PostgreSQL besides the usual ones, for the primary and so for its standbys.
    """
    home = place / f"cluster{standbys}"
    home.mkdir()
    for directory in (place, home):
        directory.chmod(0o711)
    if os.geteuid() == 0:
        shutil.chown(home, "postgres", "postgres")
    names = [f"s{number}" for number in range(standbys)]
    waiting = {"synchronous_standby_names": f"ANY 1 ({', '.join(names)})"} if names else {}
    primary = Node("primary", home / "primary")
    made = Cluster(primary, [])
    try:
        await asyncio.to_thread(_start, made, names, {**_SETTINGS, **settings, **waiting})
        yield made
    finally:
        for node in (*made.standbys, primary):
            await asyncio.to_thread(node.stop)


def _start(made: Cluster, names: list[str], settings: Mapping[str, str]) -> None:
    primary = made.primary
    run("initdb", "-D", str(primary.directory), "-A", "trust", "-U", USER, "--no-sync", "--encoding=UTF8")
    # In the file, where ALTER SYSTEM can override them, and from where each standby's copy has them too.
    with (primary.directory / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    primary.start()
    for name in names:
        directory = primary.directory.with_name(name)
        source = f"host=127.0.0.1 port={primary.port} user={USER} application_name={name}"
        run("pg_basebackup", "-D", str(directory), "-d", source, "-R", "-X", "stream", "--no-sync", "-c", "fast")
        standby = Node(name, directory)
        made.standbys.append(standby)
        standby.start()
