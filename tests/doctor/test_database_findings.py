"""Findings of ``check`` about a queue's PostgreSQL: each is caused on real servers.

DatabaseBounds are lowered where a test cannot wait for ten minutes or for a gigabyte.
"""

import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner
from cluster import USER, Cluster, Node, cluster
from polling import until
from postgres_server import as_server, free_port
from support import SECRET, raw_config

from proxy.cli.commands import main
from proxy.config import load
from proxy.config.load import Config
from proxy.doctor import database_findings
from proxy.doctor.database import server_findings
from proxy.doctor.database_bounds import DatabaseBounds
from proxy.doctor.finding import Finding
from proxy.queue.postgres.look import inspect_servers
from proxy.queue.postgres.server_facts import ServerFacts
from proxy.queue.seal import Sealer

ROOT = Path(__file__).resolve().parent.parent.parent
_WITHOUT_DRIVER = """
import asyncio, pathlib, sys
sys.modules["asyncpg"] = None
from proxy import doctor
from proxy.config import load
raw = {
    "server": {"secret": "s" * 40},
    "queue": {"engine": "postgres", "url": "postgresql://u@127.0.0.1:1/d"},
    "site": [{"name": "shop", "domains": ["shop.test"], "pixel": [{"id": "1", "access_token": "t"}]}],
}
config = load.parse(raw, {}, base=pathlib.Path(sys.argv[1]))
(finding,) = asyncio.run(doctor.database_findings(config))
print(finding.code, finding, finding.paste, sep="\\n")
"""
STRICT = DatabaseBounds(held_s=0, held_transactions=0, large_seen_bytes=0)
_SETTINGS = {"max_prepared_transactions": "2", "wal_level": "logical", "shared_buffers": "32MB"}


@asynccontextmanager
async def _servers(standbys: int) -> AsyncIterator[Cluster]:
    # Not below pytest's own directories, which only their owner may enter.
    with tempfile.TemporaryDirectory(prefix="doctor-") as place:
        async with cluster(Path(place), standbys, **_SETTINGS) as servers:
            yield servers


@pytest.fixture(name="pair", scope="module")
async def _pair() -> AsyncIterator[Cluster]:
    async with _servers(1) as servers:
        async with _session(servers.primary) as session:
            await session.execute("CREATE SCHEMA capi_proxy; CREATE ROLE plain LOGIN; CREATE ROLE few LOGIN")
            await session.execute("GRANT pg_read_all_stats TO few; ALTER ROLE few CONNECTION LIMIT 3")
            await session.execute("GRANT USAGE, CREATE ON SCHEMA capi_proxy TO few, plain")
        yield servers


@asynccontextmanager
async def _session(node: Node, user: str = USER) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(f"postgresql://{user}@127.0.0.1:{node.port}/postgres")
    try:
        yield connection
    finally:
        await connection.close()


async def _execute(node: Node, *statements: str) -> None:
    async with _session(node) as session:
        for statement in statements:
            await session.execute(statement)


@asynccontextmanager
async def _altered(node: Node, setting: str, value: str) -> AsyncIterator[None]:
    """Change a setting of a server within the ``with`` block."""
    before = await _shown(node, setting)
    try:
        await _execute(node, f"ALTER SYSTEM SET {setting} = '{value}'", "SELECT pg_reload_conf()")
        await until(lambda: _is_shown(node, setting, value))
        yield
    finally:
        await _execute(node, f"ALTER SYSTEM RESET {setting}", "SELECT pg_reload_conf()")
        await until(lambda: _is_shown(node, setting, before))


async def _shown(node: Node, setting: str) -> str:
    async with _session(node) as session:
        value: str = await session.fetchval(f"SHOW {setting}")
        return value


async def _is_shown(node: Node, setting: str, value: str) -> bool:
    return await _shown(node, setting) == value


async def _told(
    servers: Cluster, bounds: DatabaseBounds | None = None, *, user: str = USER, only: Node | None = None
) -> list[str]:
    """Return the lines that the check would print."""
    hosts = [only] if only else [servers.primary, *servers.standbys]
    url = f"postgresql://{user}@{','.join(f'127.0.0.1:{node.port}' for node in hosts)}/postgres"
    return _lines(server_findings(await inspect_servers(url), bounds or DatabaseBounds()))


def _lines(findings: Iterable[Finding]) -> list[str]:
    return [f"{'FAILED' if finding.failing else 'note'}: {finding} [{finding.code}]" for finding in findings]


def _codes(lines: Iterable[str]) -> list[str]:
    return [line.rpartition(" [")[2].rstrip("]") for line in lines]


async def test_nothing_is_said_of_a_sound_pair(pair: Cluster) -> None:
    """A primary whose commits wait for its standby causes no finding."""
    assert await _told(pair) == []


SETTINGS: dict[str, tuple[str, str, str]] = {
    "a disk that is not waited for": ("fsync", "off", "database_unsafe"),
    "pages written in part": ("full_page_writes", "off", "database_unsafe"),
    "no standby waited for": ("synchronous_standby_names", "", "database_standby_not_awaited"),
    "a standby that does not come": ("synchronous_standby_names", "ANY 1 (nobody)", "database_standby_away"),
    "commits that do not wait": ("synchronous_commit", "off", "database_role_asynchronous"),
    "commits that wait for this disk alone": ("synchronous_commit", "local", "database_role_asynchronous"),
    "no vacuum": ("autovacuum", "off", "database_unvacuumed"),
    "a vacuum that knows of nothing": ("track_counts", "off", "database_unvacuumed"),
}


@pytest.mark.parametrize(("setting", "value", "code"), SETTINGS.values(), ids=SETTINGS)
async def test_a_setting_that_loses_or_slows_is_told(setting: str, value: str, code: str, pair: Cluster) -> None:
    """There is one finding, about this server; it fails the check if acknowledged events could be lost or wait."""
    async with _altered(pair.primary, setting, value):
        (line,) = await _told(pair)

    named = value if value.startswith("ANY") else setting
    is_lost = setting in {"fsync", "full_page_writes", "synchronous_standby_names"}
    assert line.startswith(f"{'FAILED' if is_lost else 'note'}: queue.url: 127.0.0.1:{pair.primary.port} ")
    assert _codes([line]) == [code]
    assert named in line


async def test_a_standby_must_keep_the_promise_as_well(pair: Cluster) -> None:
    """A setting that would lose events after a promotion of the standby is found before the promotion."""
    (standby,) = pair.standbys
    async with _altered(standby, "fsync", "off"):
        (line,) = await _told(pair)

    assert line.startswith(f"FAILED: queue.url: 127.0.0.1:{standby.port} has fsync = off")


async def test_a_lone_server_needs_no_standby(pair: Cluster) -> None:
    """If the url names only one host, a standby is not expected."""
    async with _altered(pair.primary, "synchronous_standby_names", ""):
        assert await _told(pair, only=pair.primary) == []


async def test_frequent_checkpoints_are_told_of_a_large_memory_alone(pair: Cluster) -> None:
    """Frequent checkpoints are found only if the duplicate memory is large; with few keys they cost nothing."""
    async with _tables(pair, "seen_0(key uuid PRIMARY KEY)"), _altered(pair.primary, "checkpoint_timeout", "5min"):
        (line,) = await _told(pair, STRICT)
        assert "checkpoint_timeout = 300 s" in line
        assert _codes([line]) == ["database_checkpoints"]
        assert await _told(pair) == []
    async with _tables(pair, "seen_0(key uuid PRIMARY KEY)"):
        assert await _told(pair, STRICT) == []


@asynccontextmanager
async def _tables(servers: Cluster, definition: str) -> AsyncIterator[None]:
    await _execute(servers.primary, f"CREATE TABLE capi_proxy.{definition}")
    try:
        yield
    finally:
        await _execute(servers.primary, f"DROP TABLE capi_proxy.{definition.partition('(')[0]}")


async def test_a_table_without_vacuum_is_told(pair: Cluster) -> None:
    """A table of the queue with autovacuum switched off is found, although autovacuum is on for the server."""
    async with _tables(pair, "segment(id int) WITH (autovacuum_enabled = 'off')"):
        (line,) = await _told(pair)
    async with _tables(pair, "segment(id int) WITH (autovacuum_enabled = 'on')"):
        assert await _told(pair) == []

    assert "autovacuum switched off for segment" in line
    assert _codes([line]) == ["database_unvacuumed"]


async def test_a_proxy_that_did_not_stop_in_order_is_told(pair: Cluster) -> None:
    """A proxy that is silent for minutes, and may have a spool, is noted; a live one or one gone for days is not."""
    rows = "('lives', now()), ('crashed', now() - interval '5 minutes'), ('forgotten', now() - interval '2 days')"
    async with _tables(pair, "replica(name text, seen_at timestamptz)"):
        await _execute(pair.primary, f"INSERT INTO capi_proxy.replica VALUES {rows}")
        (line,) = await _told(pair)

    assert line.startswith("note")
    assert "has heard nothing of the proxy crashed for 5 min" in line
    assert _codes([line]) == ["database_silent_proxy"]


async def test_an_old_transaction_is_told_with_its_holder(pair: Cluster) -> None:
    """An old transaction that keeps finished rows is named by session, user and application; a young one is not."""
    async with _session(pair.primary) as holder:
        await holder.execute("SET application_name = 'nightly-report'")
        await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 'of a private statement'")
        (line,) = await _told(pair, STRICT)
        young = await _told(pair)

    assert (f"session {holder.get_server_pid()} of {USER} (nightly-report; idle in transaction)" in line, young) == (
        True,
        [],
    )
    assert "private" not in line
    assert _codes([line]) == ["database_held"]


async def test_a_prepared_transaction_is_told(pair: Cluster) -> None:
    """A prepared transaction, which belongs to no session any more, is found too."""
    async with _session(pair.primary) as session:
        await session.execute("BEGIN; CREATE TABLE capi_proxy.left_over(id int); PREPARE TRANSACTION 'forgotten'")
    try:
        lines = await _told(pair, STRICT)
        young = await _told(pair)
    finally:
        await _execute(pair.primary, "ROLLBACK PREPARED 'forgotten'")

    assert [("prepared transaction forgotten of" in line) for line in lines] == [True]
    assert _codes(lines) == ["database_held"]
    assert young == []


async def test_a_standby_that_holds_rows_is_told(pair: Cluster) -> None:
    """A query on a standby with hot_standby_feedback keeps rows of the primary, and is found."""
    (standby,) = pair.standbys
    async with _altered(standby, "hot_standby_feedback", "on"), _session(standby) as reader:
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        (line,) = await until(lambda: _told(pair, STRICT))

    assert "standby s0, by hot_standby_feedback" in line
    assert _codes([line]) == ["database_held"]


async def test_an_idle_slot_is_told(pair: Cluster) -> None:
    """A replication slot that nobody reads is found, with the WAL that it keeps and whether that is bounded."""
    await _execute(pair.primary, "SELECT pg_create_physical_replication_slot('moved_away', true)")
    try:
        (line,) = await _told(pair)
        async with _altered(pair.primary, "max_slot_wal_keep_size", "1GB"):
            (bounded,) = await _told(pair)
    finally:
        await _execute(pair.primary, "SELECT pg_drop_replication_slot('moved_away')")

    assert "GiB of WAL for the replication slot moved_away" in line
    assert [("without a bound" in each) for each in (line, bounded)] == [True, False]
    assert _codes([line, bounded]) == ["database_idle_slot"] * 2


async def test_a_slot_that_holds_rows_is_told(pair: Cluster) -> None:
    """A logical slot is found: it keeps rows of the catalogue as well as WAL."""
    await _execute(pair.primary, "SELECT pg_create_logical_replication_slot('to_warehouse', 'pgoutput')")
    try:
        lines = await _told(pair, STRICT)
    finally:
        await _execute(pair.primary, "SELECT pg_drop_replication_slot('to_warehouse')")

    assert [("because of replication slot to_warehouse" in line) for line in lines] == [True, False]
    assert _codes(lines) == ["database_held", "database_idle_slot"]


async def test_too_few_connections_are_told(pair: Cluster) -> None:
    """Fewer connections than one proxy needs fail the check; enough for two cause no finding."""
    lines = []
    for limit in (3, 6, 8):
        await _execute(pair.primary, f"ALTER ROLE few CONNECTION LIMIT {limit}")
        lines.append(await _told(pair, user="few", only=pair.primary))

    assert [[line[:6] for line in each] for each in lines] == [["FAILED"], ["note: "], []]
    assert [*map(_codes, lines)] == [["database_connections_short"], ["database_connections_few"], []]
    assert "has 3 connections left for this user, and each proxy needs 4" in lines[0][0]


async def test_a_user_who_may_not_see_others_is_told(pair: Cluster) -> None:
    """If the user may not see other sessions, the check says so and does not call the server sound."""
    (line,) = await _told(pair, user="plain", only=pair.primary)

    assert "GRANT pg_read_all_stats" in line
    assert _codes([line]) == ["database_blind"]


async def test_an_old_server_is_told(pair: Cluster) -> None:
    """A server version that the proxy was not tested with fails the check."""
    lines = await _told(pair, DatabaseBounds(oldest_version=99), only=pair.primary)

    assert [line.startswith("FAILED") and "99 or newer is needed" in line for line in lines] == [True]
    assert _codes(lines) == ["database_old"]


@pytest.mark.parametrize(("ahead_s", "words"), [(3600, "3600 s behind"), (-3600, "3600 s ahead of"), (20, "")])
async def test_a_clock_that_differs_is_told(ahead_s: float, words: str, pair: Cluster) -> None:
    """A clock that is off by half a minute causes no finding; by an hour it does, with the direction."""
    looks = await inspect_servers(_url(pair.primary), clock=lambda: time.time() + ahead_s)

    lines = _lines(server_findings(looks))
    assert [words in line for line in lines] == ([True] if words else [])
    assert _codes(lines) == (["database_clock"] if words else [])


def _url(node: Node, user: str = USER) -> str:
    return f"postgresql://{user}@127.0.0.1:{node.port}/postgres"


async def test_a_connection_without_tls_is_told_of_other_machines(pair: Cluster) -> None:
    """A connection without TLS to another machine is found, since it shows names and ids; on this machine it is not."""
    (facts,) = await inspect_servers(_url(pair.primary))
    assert isinstance(facts, ServerFacts)
    (line,) = _lines(server_findings([replace(facts, place="db.example:5432")]))
    async with _tls(pair.primary):
        (sealed,) = await inspect_servers(_url(pair.primary))
    assert isinstance(sealed, ServerFacts)

    assert "without TLS" in line
    assert _codes([line]) == ["database_plain"]
    assert _lines(server_findings([replace(sealed, place="db.example:5432")])) == []


@asynccontextmanager
async def _pgbouncer(node: Node, mode: str) -> AsyncIterator[Node]:
    """Run PgBouncer in front of a server."""
    pooler = Node("pooler", node.directory)
    with _pooling(node, pooler.port, mode):
        await until(lambda: _answers(pooler))
        yield pooler


@contextmanager
def _pooling(node: Node, port: int, mode: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        place = Path(name)
        place.chmod(0o711)
        config = place / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host=127.0.0.1 port={node.port} user={USER}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n"
        )
        process = subprocess.Popen(as_server("/usr/sbin/pgbouncer", "-q", config))
        try:
            yield
        finally:
            process.kill()
            process.wait()


async def _answers(node: Node) -> bool:
    try:
        async with _session(node):
            return True
    except OSError:
        return False


@asynccontextmanager
async def _tls(node: Node) -> AsyncIterator[None]:
    _certify(node)
    async with _altered(node, "ssl", "on"):
        yield


def _certify(node: Node) -> None:
    files = {name: node.directory / f"server.{name}" for name in ("crt", "key")}
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-out", str(files["crt"]), "-keyout", str(files["key"])]
    subprocess.run(command, check=True, capture_output=True)
    for path in files.values():
        shutil.chown(path, node.directory.owner(), node.directory.group())
        path.chmod(0o600)


async def test_a_pooler_that_shares_sessions_is_told(pair: Cluster) -> None:
    """PgBouncer fails the check if it pools transactions, but not if it pools sessions."""
    lines = []
    for mode in ("transaction", "session"):
        async with _pgbouncer(pair.primary, mode) as pooler:
            lines.append(await _told(pair, only=pooler))

    assert [line.startswith("FAILED") and "transaction mode" in line for line in lines[0]] == [True]
    assert _codes(lines[0]) == ["database_pooled"]
    assert lines[1] == []


async def test_a_server_that_cannot_be_reached_is_told(pair: Cluster) -> None:
    """The check goes on with the other servers."""
    absent = Node("absent", pair.primary.directory)
    lines = await _told(Cluster(pair.primary, [*pair.standbys, absent]))

    assert [line.startswith("note") and f":{absent.port} cannot be looked at" in line for line in lines] == [True]
    assert _codes(lines) == ["database_unseen"]


async def test_servers_without_a_primary_are_told(pair: Cluster) -> None:
    """With standbys only, which would send every event to the spool, the check fails."""
    lines = await _told(pair, only=pair.standbys[0])

    assert [line.startswith("FAILED") and "no server takes writes" in line for line in lines] == [True]
    assert _codes(lines) == ["database_without_primary"]


async def test_a_server_that_does_not_answer_is_told(pair: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts connections but never answers is found; the check does not wait for ever."""
    monkeypatch.setattr("proxy.queue.postgres.look._SECONDS", 0.5)
    (standby,) = pair.standbys
    assert standby.process
    standby.process.send_signal(signal.SIGSTOP)
    try:
        lines = await _told(pair)
    finally:
        standby.process.send_signal(signal.SIGCONT)

    assert [line for line in lines if f"{standby.port} cannot be looked at (no answer within 0.5 s)" in line]


async def test_a_server_of_another_kind_is_told(pair: Cluster) -> None:
    """Whatever else listens on the port, the check ends with a readable message."""

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3)
        writer.close()

    stranger = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with stranger:
        port = stranger.sockets[0].getsockname()[1]
        lines = await _told(Cluster(pair.primary, [*pair.standbys, Node("stranger", pair.primary.directory, port)]))

    assert [f":{port} cannot be looked at" in line for line in lines] == [True]


async def test_a_queue_of_another_secret_is_told(pair: Cluster) -> None:
    """If no listed secret opens the stored events, the check says so before the proxy would refuse to start."""
    proof = Sealer(SECRET).seal(b"capi-proxy", b"meta").hex()
    async with _tables(pair, "meta(key text PRIMARY KEY, number int8, bytes bytea)"):
        await _execute(pair.primary, f"INSERT INTO capi_proxy.meta VALUES ('proof', NULL, '\\x{proof}')")
        looks = await inspect_servers(pair.url)
    lines = [
        _lines(server_findings(looks, sealer=Sealer(secret)))
        for secret in (SECRET, "another secret for tests, as long")
    ]

    assert lines[0] == []
    assert ["FAILED: server.secret" in line for line in lines[1]] == [True]
    assert _codes(lines[1]) == ["database_other_secret"]


async def test_a_user_who_may_not_make_tables_is_told(pair: Cluster) -> None:
    """A schema of another owner, and a database in which the user may make none, are found before the start."""
    await _execute(pair.primary, "REVOKE CREATE ON SCHEMA capi_proxy FROM few", "ALTER ROLE few CONNECTION LIMIT 20")
    found = [await inspect_servers(_url(pair.primary, "few"), schema=name) for name in ("capi_proxy", "absent")]
    await _execute(pair.primary, "GRANT CREATE ON SCHEMA capi_proxy TO few")
    found.append(await inspect_servers(_url(pair.primary, "few")))

    lines = [_lines(server_findings(looks)) for looks in found]
    assert [*map(_codes, lines)] == [["database_may_not_create"], ["database_may_not_create"], []]
    assert all("CREATE SCHEMA capi_proxy AUTHORIZATION" in line for each in lines for line in each)


async def test_tables_of_another_user_are_told(pair: Cluster) -> None:
    """Tables of another user are found: write access alone does not allow the proxy to truncate or alter them."""
    async with _tables(pair, "segment(id int)"):
        lines = _lines(server_findings(await inspect_servers(_url(pair.primary, "plain"))))

    assert [line.startswith("FAILED") for line in lines if "belong to another user (segment)" in line] == [True]
    assert "database_foreign_tables" in _codes(lines)


def _config(directory: Path, url: str, secret: str = SECRET) -> Config:
    raw = raw_config("http://127.0.0.1:1", directory)
    raw["server"] |= {"secret": secret}
    return load.parse(raw | {"queue": {"engine": "postgres", "url": url}}, {}, base=directory)


async def test_the_servers_of_the_configuration_are_looked_at(pair: Cluster, tmp_path: Path) -> None:
    """With engine = "postgres" the check looks at each host of the url, with the secret; with "sqlite" at no server."""
    config = _config(tmp_path, pair.url)
    sqlite = load.parse(raw_config("http://127.0.0.1:1", tmp_path), {}, base=tmp_path)

    assert await database_findings(config) == []
    assert await database_findings(sqlite) == []
    async with _altered(pair.primary, "autovacuum", "off"):
        assert [finding.failing for finding in await database_findings(config)] == [False]


def test_the_check_ends_with_a_sentence_when_no_server_is_there(tmp_path: Path) -> None:
    """The command prints which server it cannot reach, never the password, and fails."""
    url = f"postgresql://proxy:tr0ub4dor@127.0.0.1:{free_port()}/capi"
    file = tmp_path / "config.toml"
    file.write_text(
        f'[server]\nsecret = "{SECRET}"\n[queue]\nengine = "postgres"\nurl = "{url}"\n'
        '[[site]]\nname = "shop"\ndomains = ["shop.test"]\n[[site.pixel]]\nid = "1"\naccess_token = "t"\n'
    )
    done = CliRunner().invoke(main, ["check", "--offline", "--config", str(file)])

    assert done.exit_code == 1
    assert "queue.url: no server takes writes" in done.output
    assert "tr0ub4dor" not in done.output


def test_a_missing_driver_is_told(tmp_path: Path) -> None:
    """If the driver is missing, the check says which extra of the package to install."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_DRIVER, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stdout.splitlines() == [
        "database_driver_missing",
        "queue.engine: the driver for PostgreSQL is missing",
        "pip install 'capi-proxy[postgres]'",
    ]


async def test_a_password_is_never_told(pair: Cluster) -> None:
    """Neither a refused user nor an unreachable server makes the check print the password."""
    await _execute(pair.primary, "ALTER ROLE plain CONNECTION LIMIT 0")
    absent = Node("absent", pair.primary.directory)
    url = f"postgresql://plain:tr0ub4dor@127.0.0.1:{pair.primary.port},127.0.0.1:{absent.port}/postgres"
    lines = _lines(server_findings(await inspect_servers(url)))
    await _execute(pair.primary, "ALTER ROLE plain CONNECTION LIMIT -1")

    assert len(lines) == 3
    assert "tr0ub4dor" not in str(lines)


@pytest.mark.long
async def test_a_primary_of_before_a_fail_over_is_told() -> None:
    """If two servers take writes after a fail-over, the old primary is named."""
    async with _servers(1) as servers:
        (promoted,) = servers.standbys
        await _execute(promoted, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_promote()")
        lines = await _told(servers)

    stale = [
        line for line in lines if f":{servers.primary.port} takes writes besides 127.0.0.1:{promoted.port}" in line
    ]
    assert [line[:6] for line in stale] == ["FAILED"]
    assert _codes(stale) == ["database_two_primaries"]
