"""A PostgreSQL server for each worker of the tests, without durability, and a schema for each test.

The programs are Debian's. They refuse to run as root, so then the server runs as the package's user ``postgres``.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import SECRET

from proxy.queue.postgres.database import Database
from proxy.queue.postgres.opening import make_database
from proxy.queue.seal import Sealer

USER = "capi"
PASSWORD_USER = "secretive"
"""The user whom the server asks for a password, if a test creates it."""
# No data has to survive, and several of these servers run next to everything else.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "autovacuum": "off",
}


def programs() -> Path:
    """Return the directory of the server's programs; Debian keeps each version separately."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    assert found, "PostgreSQL is missing: run `make unit`, which installs it"
    return found[-1].parent


def as_server(*arguments: str | Path) -> list[str]:
    """Return a command that runs as the servers' user and ends when this process does."""
    identity = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    return ["setpriv", "--pdeathsig=QUIT", *identity, "--", *map(str, arguments)]


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Cluster:
    """The files of a server, and its address."""

    directory: Path
    port: int

    def url(self, user: str = USER, database: str = "capi") -> str:
        """Return its address for a user, who needs no password."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"


def initialised(directory: Path) -> Cluster:
    """Create the files of a server in an empty directory."""
    if os.getuid() == 0:
        shutil.chown(directory, "postgres", "postgres")
    command = as_server(programs() / "initdb", "-D", directory / "data", "-U", "postgres", "-A", "trust", "-N")
    subprocess.run([*command, "--locale=C", "-E", "UTF8"], check=True, capture_output=True, cwd="/")
    rules = directory / "data" / "pg_hba.conf"
    rules.write_text(f"host all {PASSWORD_USER} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    return Cluster(directory, free_port())


@contextmanager
def started(cluster: Cluster, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the context ends; it listens on loopback, and on a socket in its directory."""
    options = {"port": str(cluster.port), "listen_addresses": "127.0.0.1", **settings}
    options["unix_socket_directories"] = str(cluster.directory)
    command = as_server(programs() / "postgres", "-D", cluster.directory / "data")
    command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (cluster.directory / "log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            wait_until_ready(cluster)
            yield server
        finally:
            # Connections that are still open, as after a failed test, are not waited for.
            server.send_signal(signal.SIGINT)
            server.wait()


def wait_until_ready(cluster: Cluster) -> None:
    """Wait until a server accepts connections."""
    command = [str(programs() / "pg_isready"), "-h", "127.0.0.1", "-p", str(cluster.port), "-t", "1"]
    for _ in range(600):
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return
    raise AssertionError((cluster.directory / "log").read_text())


def psql(cluster: Cluster, *statements: str, database: str = "postgres") -> str:
    """Run statements as the server's superuser; return what they print."""
    options: Sequence[str] = [part for statement in statements for part in ("-c", statement)]
    command = [str(programs() / "psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run(
        [*command, *options, cluster.url("postgres", database)], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="session", name="postgres")
def _postgres() -> Iterator[Cluster]:
    """One server for all tests of a worker, with a database ``capi`` of the user ``capi``, who is no superuser."""
    with tempfile.TemporaryDirectory(prefix="capi-pg-", ignore_cleanup_errors=True) as directory:
        cluster = initialised(Path(directory))
        with started(cluster, FAST):
            psql(cluster, f"CREATE ROLE {USER} LOGIN", f"CREATE DATABASE capi OWNER {USER}")
            yield cluster


@pytest.fixture(name="schema")
def _schema(postgres: Cluster) -> Iterator[str]:
    """Yield the name of a schema that does not exist yet; if the test creates it, it is dropped after the test."""
    name = f"t{uuid.uuid4().hex}"
    yield name
    psql(postgres, f"SET client_min_messages=warning; DROP SCHEMA IF EXISTS {name} CASCADE", database="capi")


@pytest.fixture(name="database")
async def _database(postgres: Cluster, schema: str) -> AsyncIterator[Database]:
    """Yield a connected database with all tables, in a schema of the test's own."""
    database = make_database(postgres.url(), Sealer(SECRET), schema=schema, commit_timeout=30.0)
    await database.start(patience=30.0)
    assert database.is_here, database.why_away
    yield database
    await database.close()
