"""The files of deploy/postgres make a primary and two standbys about which the check finds nothing."""

import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import asyncpg
import pytest
from polling import until
from postgres_server import Cluster, as_server, free_port, programs, wait_until_ready

from proxy.config import load
from proxy.config.database_url import server_urls
from proxy.doctor.database import server_findings
from proxy.model.condition import ConditionCode
from proxy.queue.contract import Stats
from proxy.queue.postgres.look import inspect_servers
from proxy.queue.postgres.server_facts import Look, ServerFacts
from proxy.telemetry.metrics import Metrics

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy" / "postgres"
PASSWORDS = {"REPLICATION_PASSWORD": "of'the standbys", "QUEUE_PASSWORD": "of-the-proxies"}
# The file is for a large server; here three of them share one machine with other programs.
SMALL = ["-c", "shared_buffers=32MB", "-c", "listen_addresses=127.0.0.1"]


@dataclass
class Place:
    """A directory that the servers' user can enter, with the files of deploy/postgres."""

    directory: Path

    def environment(self, **more: str) -> Mapping[str, str]:
        """Return the environment variables of a container."""
        return {"PATH": f"{programs()}:{os.environ['PATH']}", "POSTGRES_USER": "postgres", **PASSWORDS, **more}

    def run(self, *command: str | Path, **environment: str) -> None:
        """Run a program to its end, as the servers' user."""
        done = subprocess.run(
            as_server(*command),
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def running(self, name: str, port: int, *command: str | Path, **environment: str) -> Iterator[None]:
        """Run a server during the ``with`` block, as the servers' user."""
        home = self.directory / f"{name}-socket"
        home.mkdir(exist_ok=True)
        shutil.chown(home, self.directory.owner())
        options = [*SMALL, "-c", f"unix_socket_directories={home}", "-p", str(port)]
        with (home / "log").open("ab") as log:
            process = subprocess.Popen(
                as_server(*command, *options), env=self.environment(**environment), stdout=log, stderr=log, cwd="/"
            )
        try:
            wait_until_ready(Cluster(home, port))
            yield
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(name="place", scope="module")
def _place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="deployed-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        for file in ("postgresql.conf", "init-primary.sh", "start-standby.sh"):
            shutil.copy(DEPLOY / file, directory)
        for standby in ("standby_1", "standby_2"):
            (directory / standby).mkdir(mode=0o700)
        if os.getuid() == 0:
            for path in (directory, *directory.iterdir()):
                shutil.chown(path, "postgres", "postgres")
        yield Place(directory)


@contextmanager
def _servers(place: Place) -> Iterator[str]:
    """Run three servers as containers do at their first start; yield the address for the proxies."""
    data, config = place.directory / "primary", place.directory / "postgresql.conf"
    ports = [free_port() for _ in range(3)]
    # As in the image: connections over the network need a password.
    place.run("initdb", "-D", data, "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "-N")
    serve = (programs() / "postgres", "-D", data, "-c", f"config_file={config}")
    with place.running("primary", ports[0], *serve):
        socket = str(place.directory / "primary-socket")
        place.run("sh", "./init-primary.sh", PGDATA=str(data), PGHOST=socket, PGPORT=str(ports[0]))
    # The image restarts the server after its scripts, and only then pg_hba.conf is read.
    with ExitStack() as stack:
        stack.enter_context(place.running("primary", ports[0], *serve))
        for number, port in enumerate(ports[1:], 1):
            stack.enter_context(_standby(place, number, port, ports[0]))
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        yield f"postgresql://capi_proxy:{quote(PASSWORDS['QUEUE_PASSWORD'])}@{hosts}/capi_proxy"


def _standby(place: Place, number: int, port: int, primary: int) -> AbstractContextManager[None]:
    name = f"standby_{number}"
    return place.running(
        name,
        port,
        "sh",
        place.directory / "start-standby.sh",
        PGDATA=str(place.directory / name),
        STANDBY_NAME=name,
        PRIMARY_HOST="127.0.0.1",
        PGPORT=str(primary),
        POSTGRES_CONFIG=str(place.directory / "postgresql.conf"),
    )


async def _following(url: str) -> list[Look]:
    """Return what the check sees of the servers once a commit may wait for either standby."""

    async def all_follow() -> list[Look] | None:
        looks = await inspect_servers(url)
        return looks if any(isinstance(each, ServerFacts) and each.waited_for == 2 for each in looks) else None

    found: list[Look] = await until(all_follow)
    return found


@pytest.mark.long
async def test_the_files_make_servers_that_keep_the_promise(place: Place) -> None:
    """From empty directories come a primary and two standbys; the check finds nothing, and a commit succeeds."""
    with _servers(place) as url:
        looks = await _following(url)
        connection = await asyncpg.connect(url, target_session_attrs="read-write")
        await connection.execute("CREATE TABLE of_ours(id int)")
        await connection.close()

    assert [str(finding) for finding in server_findings(looks)] == []
    assert [isinstance(each, ServerFacts) and each.is_standby for each in looks] == [False, True, True]


def test_patroni_gets_the_same_parameters() -> None:
    """Patroni's file repeats the parameters with which the servers of this test were started."""
    names = dict(re.findall(r"^(\w+) = '?(.*?)'?$", (DEPLOY / "postgresql.conf").read_text(), re.MULTILINE))
    patroni = dict(re.findall(r"^        (\w+): \"?(.*?)\"?$", (DEPLOY / "patroni.yaml").read_text(), re.MULTILINE))

    assert len(patroni) > 10
    assert {name: names.get(name) for name in patroni} == patroni


def test_the_files_that_compose_mounts_exist() -> None:
    """Each file that compose.yaml mounts exists; Docker would make an empty directory in place of a missing one."""
    mounted = set(re.findall(r"\./([\w.-]+):/", (DEPLOY / "compose.yaml").read_text()))

    assert {"postgresql.conf", "init-primary.sh", "start-standby.sh", "config.toml", "Caddyfile"} == mounted
    assert [name for name in mounted if not (DEPLOY / name).is_file()] == []
    assert [name for name in mounted if name.endswith(".sh") and not os.access(DEPLOY / name, os.X_OK)] == []


def test_the_configuration_reads_what_compose_gives_it() -> None:
    """The proxies' configuration is valid with the variables that env.example and compose.yaml set, and only these."""
    compose = (DEPLOY / "compose.yaml").read_text()
    names = re.findall(r"^(\w+)=$", (DEPLOY / "env.example").read_text(), re.MULTILINE)
    variables = {name: f"0123456789abcdef{name}0123456789abcdef" for name in names}
    (url,) = re.findall(r"QUEUE_URL: (\S+)", compose)
    url = url.replace("${QUEUE_PASSWORD:?}", variables["QUEUE_PASSWORD"])
    raw = tomllib.loads((DEPLOY / "config.toml").read_text())
    settings = load.parse(raw, {**variables, "QUEUE_URL": url}, base=DEPLOY).settings

    assert settings.queue.engine == "postgres"
    assert len(server_urls(settings.queue.url.get_secret_value())) == 3
    assert set(re.findall(r"\$\{(\w+):\?\}", compose)) <= set(names)


def test_the_alerts_name_metrics_that_exist() -> None:
    """Each alert rule is about an existing metric, since one about a missing metric would never fire."""
    text = (DEPLOY / "alerts.yaml").read_text()
    rules = "".join(re.findall(r"expr: (?:\|\n)?((?:.*\n)+?) +(?:for|labels):", text))
    named = set(re.findall(r"capi_proxy_\w+", rules))
    shown = {re.sub(r"\{.*|\s.*", "", line) for line in Metrics().render(Stats({}, 0)).decode().splitlines()}
    described = set(re.findall(r"# TYPE (\w+)", Metrics().render(Stats({"1": 1}, 0, held={"1": 1})).decode()))

    assert len(named) >= 4
    assert named - shown - described == set()
    assert set(re.findall(r'code="(\w+)"', rules)) <= set(get_args(ConditionCode))
