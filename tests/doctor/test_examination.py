"""A whole examination: the order of its findings, its time limit, and its request at the operator listener."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner
from clock import Clock
from machine import free_port
from polling import until
from servers import served
from support import installation, raw_config

from proxy.cli.check import check
from proxy.config import load
from proxy.config.load import Config
from proxy.doctor import ExaminationOptions, Finding, examination, examine, graph, report_json
from proxy.doctor.catalogue import GROUPS, ROWS
from proxy.doctor.catalogue.row import Seriousness
from proxy.doctor.examination import sorted_findings
from proxy.operator.doctor import DoctorApi

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "doctor.md").read_text()


@pytest.mark.parametrize("group", GROUPS)
def test_every_finding_has_its_row_in_the_page(group: str) -> None:
    """The page lists exactly the findings of each group, in the catalogue's order, with its texts."""
    title = group.replace("_", " ").capitalize().replace("Tls", "TLS")
    section = PAGE.partition(f"\n### {title}\n")[2].partition("\n### ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]

    assert rows == [
        f"| `{code}` | {row.seriousness} | {row.what} | {row.why} | {row.mend} |" for code, row in GROUPS[group].items()
    ]


def test_there_are_enough_findings_and_no_code_twice() -> None:
    """There are at least thirty besides those of the database, each in one group, with a reason and a remedy."""
    assert len(ROWS) == sum(map(len, GROUPS.values()))
    assert len(ROWS) - len(GROUPS["database"]) >= 30
    assert all(row.what and row.why and row.mend for row in ROWS.values())


@pytest.mark.parametrize("code", sorted(ROWS))
def test_every_finding_is_provoked_by_a_test(code: str) -> None:
    """Each code occurs in the source, and in a test of the doctor."""
    quoted = re.compile(f'"{code}"')
    catalogue = ROOT / "proxy" / "doctor" / "catalogue"
    source = [path for path in (ROOT / "proxy" / "doctor").rglob("*.py") if catalogue not in path.parents]
    tests = [path for path in (ROOT / "tests" / "doctor").glob("*.py") if path != Path(__file__)]

    assert any(quoted.search(path.read_text()) for path in source)
    assert any(quoted.search(path.read_text()) for path in [*tests, Path(__file__)])


def test_the_worst_comes_first_and_nothing_twice() -> None:
    """Failures come first, then parts that could not be looked at, doubts, notes; each of these by group."""
    codes = ["ipv6_missing", "csp_script", "tag_unseen", "secret_weak", "cname_out", "csp_script"]
    found = sorted_findings(Finding(code, "somewhere", "something") for code in codes)

    assert [each.code for each in found] == ["secret_weak", "csp_script", "tag_unseen", "cname_out", "ipv6_missing"]


def test_a_finding_needs_a_row() -> None:
    """A finding with a code that the catalogue does not have is an error of the program."""
    with pytest.raises(KeyError):
        Finding("no_such_code", "", "")


def config(directory: Path, url: str = "http://127.0.0.1:9", **site: Any) -> Config:
    (directory / "data").mkdir(mode=0o700, exist_ok=True)
    return load.parse(raw_config(url, directory / "data", **site), {}, base=directory)


async def test_what_hangs_is_cut_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that hangs is cut off: the other parts go on, its findings so far count, and the last line mentions it."""

    async def hanging(_settings: object) -> AsyncIterator[Finding]:
        yield Finding("clock_off", "", "found before it hung")
        await asyncio.Event().wait()

    monkeypatch.setattr(graph, "findings", hanging)
    examined = await examine(config(tmp_path), ExaminationOptions(seconds=2.0))

    assert {"clock_off", "examination_cut", "public_skipped"} <= {finding.code for finding in examined.findings}
    assert "1 could not be looked at" in examined.summary


async def test_a_fault_of_ours_is_told_without_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in a part is a finding that names its type but not its text, which could contain anything."""

    async def faulty(_settings: object) -> AsyncIterator[Finding]:
        raise ValueError("of a secret")
        yield Finding("clock_off", "", "")

    monkeypatch.setattr(graph, "findings", faulty)
    examined = await examine(config(tmp_path), ExaminationOptions())
    (cut,) = [finding for finding in examined.findings if finding.code == "examination_cut"]

    assert cut.seen == "Graph: ValueError"


async def test_a_simulator_has_no_public_name_unless_it_is_given(tmp_path: Path) -> None:
    """If events go to a simulator, public names are looked up only if --url or public_url says that they are real."""
    skipped = await examine(config(tmp_path), ExaminationOptions())
    meant = await examine(
        config(tmp_path, public_url="https://127.0.0.1:9", domains=["127.0.0.1"]), ExaminationOptions()
    )

    assert "public_skipped" in {finding.code for finding in skipped.findings}
    assert "public_skipped" not in {finding.code for finding in meant.findings}
    assert "tls_unseen" in {finding.code for finding in meant.findings}


async def test_without_a_secret_there_is_no_path_to_look_at(tmp_path: Path) -> None:
    """Without a secret, as before the first start, the public paths are unknown, and that is not reported as sound."""
    raw = raw_config("http://127.0.0.1:9", tmp_path / "data", prefix="", public_url="https://t.shop.example")
    raw["server"]["secret"] = ""
    examined = await examine(load.parse(raw, {}, base=tmp_path), ExaminationOptions(seconds=10))

    assert "probe_unseen" in {finding.code for finding in examined.findings}


async def test_offline_nobody_is_asked(tmp_path: Path) -> None:
    """With --offline no request leaves the machine, and the last line says so."""
    examined = await examine(config(tmp_path), ExaminationOptions(offline=True))

    assert {"network_skipped"} == {
        finding.code for finding in examined.findings if finding.row.seriousness is Seriousness.UNSEEN
    }
    assert "1 could not be looked at" in examined.summary


def test_the_counts_of_the_last_line_are_true() -> None:
    """The last line counts the findings of each severity, and omits severities that do not occur."""
    codes = ["secret_weak", "csp_script", "tag_unseen", "cname_out", "ipv6_missing"]
    all_kinds = examination.Examination([Finding(code, "", "") for code in codes], 0, 0)

    assert all_kinds.summary == "2 to mend, 1 could not be looked at, 1 doubtful, 1 to know"
    assert examination.Examination([], 0, 0).summary == "nothing to mend"
    assert report_json(all_kinds)["counts"] == {"failure": 2, "unseen": 1, "doubt": 1, "note": 1}


class Examiner:
    """A stand-in for an examination, which ends when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.end = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> Mapping[str, Any]:
        self.begun += 1
        await self.end.wait()
        if self.error:
            raise self.error
        return {"at": 1_000, "summary": "nothing to mend"}


async def test_no_two_examinations_run_at_once() -> None:
    """A request during an examination joins it; the report stays, with its age; after an error another can start."""
    examiner, now = Examiner(), Clock()
    now.now = 5_000
    app = web.Application()
    DoctorApi(examiner, now).add_to(app)
    async with TestClient(TestServer(app)) as client:

        async def asked(method: str = "GET") -> dict[str, Any]:
            async with client.request(method, "/api/doctor", json={} if method == "POST" else None) as answer:
                assert answer.status == (202 if method == "POST" else 200)
                document: dict[str, Any] = await answer.json()
                return document

        async def ended() -> bool:
            return not (await asked())["running"]

        assert await asked() == {"running": False, "started": None, "report": None}
        assert await asked("POST") == await asked("POST") == {"running": True, "started": 5_000, "report": None}
        examiner.end.set()
        await until(ended, what="the end of the examination")
        first = await asked()
        examiner.error = OSError("of a fault")
        await asked("POST")
        await until(ended, what="the end of the next")
        examiner.end.clear()
        assert (await asked("POST"))["report"] == first["report"]

    assert first["report"] == {"at": 1_000, "age": 4_000, "summary": "nothing to mend"}
    assert examiner.begun == 3


async def test_a_running_proxy_examines_itself(tmp_path: Path) -> None:
    """Over the operator listener a proxy examines itself, and does not take its own ports for another program's."""
    async with installation(tmp_path) as proxy:
        async with proxy.session.post(f"{proxy.operator}/api/doctor", json={}) as answer:
            assert answer.status == 202

        async def report() -> Any:
            async with proxy.session.get(f"{proxy.operator}/api/doctor") as answer:
                return (await answer.json())["report"]

        found = await until(report, what="a report")

    codes = {finding["code"] for finding in found["findings"]}
    assert not codes & {"port_taken", "data_dir_in_use", "checked_as_root", "examination_cut"}
    assert {"code", "group", "seriousness", "subject", "seen", "why", "mend", "paste"} == set(found["findings"][0])
    assert found["counts"]["failure"] == sum(each["seriousness"] == "failure" for each in found["findings"])


TEXT = """
[server]
listen = "127.0.0.1:{port}"
operator_listen = "127.0.0.1:{operator}"
trusted_proxies = ["127.0.0.1/32"]
secret = "a secret for tests that is long enough"
[graph]
url = "{graph}"
[[site]]
name = "shop"
domains = ["shop.test"]
[[site.pixel]]
id = "314159265358979"
access_token = "a token"
"""


async def run(directory: Path, *arguments: str, text: str = TEXT) -> tuple[int, str]:
    async def greet(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", greet)
    async with served(app) as url:
        path = directory / "config.toml"
        path.write_text(text.format(port=free_port(), operator=free_port(), graph=url))
        path.chmod(0o600)
        command = (sys.executable, "-m", "proxy", "check", "--config", str(path), *arguments)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.PIPE)
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_the_command_tells_what_why_and_how(tmp_path: Path) -> None:
    """The worst finding comes first, with lines to paste; the last line counts; no file is made."""
    code, out = await run(tmp_path, text=TEXT.replace('["127.0.0.1/32"]', '["0.0.0.0/0"]'))
    lines = out.splitlines()

    assert code == 1
    assert lines[0].startswith("To mend")
    assert "  server.trusted_proxies[0]: 0.0.0.0/0 holds strangers  [configuration: trusted_proxies_wide]" in lines
    assert '      | trusted_proxies = ["127.0.0.1/32", "::1/128"]' in lines
    assert "config.toml: 1 to mend" in lines[-1]
    assert files_in(tmp_path) == [tmp_path / "config.toml"]


async def test_the_command_prints_json(tmp_path: Path) -> None:
    """With --json the whole report is one document; if nothing failed, the exit code is 0."""
    code, out = await run(tmp_path, "--json")
    report = json.loads(out)

    assert (code, report["counts"]["failure"]) == (0, 0)
    assert {finding["code"] for finding in report["findings"]} >= {"public_skipped", "data_dir_missing"}
    assert "a token" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "t.shop.test"],
        ["--connect-to", "shop.test:443"],
        ["--connect-to", "shop.test:443:127.0.0.1:99999"],
        ["--connect-to", "shop.test:443:1.2.3:443"],
        ["--nameserver", "name"],
        ["--nameserver", "999"],
        ["--nameserver", "[127.0.0.1]"],
        ["--nameserver", "[::1]:0"],
    ],
)
def test_a_wrong_option_ends_with_2(arguments: list[str], tmp_path: Path) -> None:
    """Invalid options are reported before anything is examined."""
    path = tmp_path / "config.toml"
    path.write_text(TEXT.format(port=1, operator=2, graph="http://127.0.0.1:9"))

    assert CliRunner().invoke(check, ["--config", str(path), *arguments]).exit_code == 2
