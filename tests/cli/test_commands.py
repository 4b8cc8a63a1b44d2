"""The commands as an owner uses them: where they look, what they need, what they print."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from commands_here import invoke, invoke_beside
from machine import ROOT, free_port
from servers import served
from support import SECRET, until

from proxy.app import run_proxy
from proxy.cli import commands
from proxy.cli.terminal import PrintableFormatter, printable
from proxy.config import load
from proxy.config.address import address_of
from proxy.model.ledger import Status

SOUND = f"""
[server]
secret = "{SECRET}"
[[site]]
name = "shop"
domains = ["shop.test"]
[[site.pixel]]
id = "1"
access_token = "env:NOT_SET_HERE"
"""
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b2J\u202eevil\u2066\r\nsecond line"


def run(
    *arguments: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as a process, as an owner does."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "CAPI_PROXY_CONFIG": "", **(environment or {})}
    command = [sys.executable, "-m", "proxy", *arguments]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=60)


def config_file(path: Path, text: str = SOUND) -> str:
    path.write_text(text)
    return str(path)


def test_the_collector_rests_while_a_command_is_imported_and_not_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector is off while a command is imported, to save time, and on again even after a failure."""
    seen = []

    def fail(_name: str) -> None:
        seen.append(gc.isenabled())
        raise ImportError("no such module")

    monkeypatch.setattr(commands, "import_module", fail)
    with pytest.raises(ImportError):
        invoke("check")

    assert (seen, gc.isenabled()) == ([False], True)


def test_the_configuration_is_found_by_itself(tmp_path: Path) -> None:
    """Without --config the environment variable is used, then config.toml in the current directory."""
    config_file(tmp_path / "config.toml")
    second_file = config_file(tmp_path / "other.toml", SOUND.replace('"shop"', '"other"'))
    here = run("snippet", cwd=tmp_path)
    named = run("snippet", cwd=tmp_path, environment={"CAPI_PROXY_CONFIG": second_file})
    (tmp_path / "empty").mkdir()
    nowhere = run("snippet", cwd=tmp_path / "empty")

    assert (here.returncode, named.returncode, nowhere.returncode) == (0, 0, 2)
    assert "order-shop-" in here.stdout
    assert "order-other-" in named.stdout
    assert "CAPI_PROXY_CONFIG" in nowhere.stderr
    assert "/etc/capi-proxy/config.toml" in nowhere.stderr


@pytest.mark.parametrize(
    "command", [["events"], ["dead", "list"], ["suppressions", "list"], ["snippet"], ["erase", "--email", "a@b.test"]]
)
def test_commands_that_send_nothing_need_no_token(command: list[str], tmp_path: Path) -> None:
    """The token's variable may be absent in the owner's shell; only serving and checking ask for it."""
    path = config_file(tmp_path / "c.toml")
    (tmp_path / "data").mkdir()
    done = run(*command, "--config", path)

    assert (done.returncode, done.stderr) == (0, "")
    assert invoke("check", "--config", path).exit_code == 2


def test_snippet_makes_no_secret(tmp_path: Path) -> None:
    """Without a secret there is no path to print; snippet fails and does not make a secret, as the service would."""
    path = config_file(tmp_path / "c.toml", SOUND.replace(f'secret = "{SECRET}"', ""))
    done = invoke("snippet", "--config", path)

    assert (done.exit_code, done.stdout) == (1, "")
    assert "server.secret" in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["c.toml"]


@pytest.mark.parametrize(
    ("host_option", "host"),
    [
        ("t.shop.test", "https://t.shop.test/"),
        ("https://T.shop.test/", "https://t.shop.test/"),
        ("t.shop.test:8443", "https://t.shop.test:8443/"),
    ],
)
def test_a_host_may_be_given_as_an_address(host_option: str, host: str, tmp_path: Path) -> None:
    """A host may be given as a URL, whose name is taken; the printed address has its scheme once."""
    done = invoke("snippet", "--config", config_file(tmp_path / "c.toml"), "--host", host_option)

    assert f'src="{host}' in done.stdout
    assert "https://https" not in done.stdout


@pytest.mark.parametrize(
    "host_option", ["http://t.shop.test", "https://t.shop.test/path", "t shop", "*.shop.test", "//"]
)
def test_what_is_no_host_name_is_refused(host_option: str, tmp_path: Path) -> None:
    """Other values of the host option end with exit code 2 and a message that says what is accepted."""
    done = invoke("snippet", "--config", config_file(tmp_path / "c.toml"), "--host", host_option)

    assert done.exit_code == 2
    assert "accepted: a host name such as t.shop.example" in " ".join(done.stderr.split())


@pytest.mark.parametrize("status", [*(status.value for status in Status), "DELIVERED", "Dead"])
def test_a_status_is_taken_in_any_case(status: str, tmp_path: Path) -> None:
    """A status is accepted in lower case, as the ledger prints it, and in capitals."""
    (tmp_path / "data").mkdir()

    assert invoke("events", "--config", config_file(tmp_path / "c.toml"), "--status", status).exit_code == 0


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Ünicode 日本 🙂", "Ünicode 日本 🙂"),
        ("\x1b[31m", "\\u001b[31m"),
        ("a\nb\x9b\x7f", "a\\u000ab\\u009b\\u007f"),
        ("\u202e\u2066", "\\u202e\\u2066"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, printed: str) -> None:
    """Control characters, direction marks and invisible characters are printed as JSON escapes; letters stay."""
    assert printable(text) == printed
    assert orjson.loads(f'"{printable(text)}"') == text if text != "\ud800" else True


def test_the_log_holds_no_escapes_and_one_line_for_each_message() -> None:
    """Text of Meta or a stranger is logged with its control characters escaped, as one line."""
    entry = logging.LogRecord("proxy", logging.WARNING, __file__, 1, "token: %s", (ESCAPES,), None)
    line = PrintableFormatter("%(name)s: %(message)s").format(entry)

    assert line.startswith("proxy: token: \\u001b]0;owned")
    assert line.isprintable()


def test_snippet_says_which_header_its_rules_write(tmp_path: Path) -> None:
    """If the configuration trusts a header that the rules do not overwrite, the right setting is printed."""
    second_file = SOUND.replace("[[site]]", 'client_ip_header = "X-Real-IP"\n[[site]]', 1)
    usual = invoke("snippet", "--config", config_file(tmp_path / "usual.toml"))
    changed = invoke("snippet", "--config", config_file(tmp_path / "other.toml", second_file))

    assert 'client_ip_header = "X-Forwarded-For"' in changed.stdout
    assert "client_ip_header" not in usual.stdout


@asynccontextmanager
async def operator(answer: web.Response, directory: Path) -> AsyncIterator[str]:
    """Lock a data_dir as a running proxy does, and run an operator listener that gives every request one answer."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    (directory / "data").mkdir()
    lock = await asyncio.create_subprocess_exec(
        "flock", str(directory / "data" / "lock"), "sh", "-c", "echo held; cat", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert lock.stdout
    assert lock.stdin
    await lock.stdout.readline()
    async with served(app) as address:
        listen = address.removeprefix("http://")
        yield config_file(directory / "c.toml", SOUND.replace("[[site]]", f'operator_listen = "{listen}"\n[[site]]'))
    lock.stdin.close()
    await lock.wait()


LETTER: dict[str, Any] = {
    "id": 1, "at": 1, "pixel": "1", "name": "Lead", "event_id": ESCAPES, "time_s": 1, "reason": "rejected",
    "attempts": 1, "code": 100, "subcode": 1, "message": ESCAPES, "fbtrace_id": ESCAPES, "event": {},
}  # fmt: skip


@pytest.mark.parametrize("options", [[], ["--json"]])
async def test_metas_words_cannot_steer_the_terminal(options: list[str], tmp_path: Path) -> None:
    """What Graph says about a dead letter is one printable line for a person, and its exact text in JSON."""
    answer = web.Response(body=orjson.dumps({"dead": [LETTER]}), content_type="application/json")
    async with operator(answer, tmp_path) as path:
        done = await invoke_beside("dead", "list", "--config", path, *options)

    lines = done.stdout.splitlines()
    assert (done.exit_code, len(lines)) == (0, 1 if options else 2)
    assert all(line.isprintable() for line in lines)
    if options:
        assert orjson.loads(lines[0])["message"] == ESCAPES


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (web.Response(status=401), "refuses operator_password"),
        (web.Response(status=429), "too many wrong passwords"),
        (web.Response(text="<html>", content_type="text/html"), "no capi-proxy"),
        (web.Response(text="[]", content_type="application/json"), "no capi-proxy"),
        (web.Response(status=503, body=b'{"error": "the disk is full"}'), "the disk is full"),
    ],
)
async def test_an_operator_that_refuses_is_explained(answer: web.Response, reason: str, tmp_path: Path) -> None:
    """A wrong password, another program on the port and a fault of the queue get different explanations."""
    async with operator(answer, tmp_path) as path:
        done = await invoke_beside("events", "--config", path)

    assert done.exit_code == 1
    assert reason in done.stderr
    assert "Error" not in done.stderr


async def test_a_password_changed_under_a_running_proxy_is_named(tmp_path: Path) -> None:
    """If a running proxy was started with another password, the command says that the passwords differ."""
    text = SOUND.replace("env:NOT_SET_HERE", "token").replace(
        "[[site]]", 'listen = "127.0.0.1:0"\noperator_listen = "127.0.0.1:{}"\noperator_password = "{}"\n[[site]]', 1
    )
    port = free_port()
    first = config_file(tmp_path / "first.toml", text.format(port, "the password of the start"))
    async with run_proxy(load.load(Path(first), {})):
        right = await invoke_beside("events", "--config", first)
        wrong = await invoke_beside(
            "events", "--config", config_file(tmp_path / "second.toml", text.format(port, "another"))
        )

    assert (right.exit_code, wrong.exit_code) == (0, 1)
    assert "refuses operator_password: it was started with another one" in wrong.stderr


@pytest.mark.parametrize("host", ["[::1]", "[::]"])
async def test_listeners_on_ipv6_print_addresses_that_lead_there(host: str, tmp_path: Path) -> None:
    """IPv6 addresses stand in brackets, and the commands reach the operator listener; the process dumps no core."""
    ports = free_port(), free_port()
    text = SOUND.replace("[[site]]", f'listen = "{host}:{ports[0]}"\noperator_listen = "[::1]:{ports[1]}"\n[[site]]')
    path = config_file(tmp_path / "c.toml", text.replace("env:NOT_SET_HERE", "token"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "serve", "--config", path), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr
    try:
        printed = [(await asyncio.wait_for(process.stderr.readline(), 60)).decode().split() for _ in range(2)]
        limits = await asyncio.to_thread(Path(f"/proc/{process.pid}/limits").read_text)
        async with aiohttp.ClientSession() as session:

            async def answers() -> bool:
                async with session.get(f"http://[::1]:{ports[0]}/healthz") as answer:
                    return answer.status == 200

            await until(answers, what="the public listener")
        events = await asyncio.to_thread(run, "events", "--config", path)
    finally:
        process.terminate()
        await process.wait()

    assert printed == [["public", f"http://{host}:{ports[0]}"], ["operator", f"http://[::1]:{ports[1]}"]]
    assert (events.returncode, events.stderr) == (0, "")
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]


@pytest.mark.parametrize(
    ("first_text", "second_text", "clash"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("0.0.0.0:1", "127.0.0.1:1", True),
        ("[::]:1", "[::1]:1", True),
        ("[::]:1", "127.0.0.1:1", False),
        ("127.0.0.1:1", "127.0.0.2:1", False),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
    ],
)
def test_addresses_clash_as_the_system_says(first_text: str, second_text: str, clash: bool) -> None:  # noqa: FBT001 - a column
    """Two listeners clash on one port of the same address, or of all addresses of its family; `[::]` is IPv6 alone."""
    first, second = address_of(first_text), address_of(second_text)

    assert first.clashes_with(second) == second.clashes_with(first) == clash
