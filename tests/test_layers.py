"""The import table: which package of the program may import which other ones."""

import ast
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from proxy.cli.commands import MODULES as COMMAND_MODULES

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(ROOT.glob("proxy/**/*.py"))

# Room → the rooms it may import, besides itself. A room is a package, or a module right below ``proxy``.
TABLE: dict[str, set[str]] = {
    "__init__": set(),
    "static_files": set(),
    "background": set(),
    "model": set(),
    "config": {"model"},
    "graph": {"model"},
    "figures": {"model"},
    "rules": {"model", "config", "graph"},
    "backfill": {"model", "graph"},
    "queue": {"background", "model", "config", "graph"},
    "telemetry": {"background", "model", "rules", "queue"},
    "watch": {"background", "model", "config", "graph", "queue"},
    "alerts": {"__init__", "background", "model", "config", "figures", "queue"},
    "delivery": {"__init__", "background", "model", "config", "graph", "queue", "telemetry"},
    "edge": {"static_files", "model", "config", "rules", "queue", "telemetry"},
    "operator": {
        "static_files",
        "background",
        "alerts",
        "model",
        "config",
        "figures",
        "graph",
        "rules",
        "queue",
        "telemetry",
        "delivery",
        "edge",
    },
    "simulator": set(),
    "installation": {"__init__", "model", "config", "rules", "queue"},
    "doctor": {
        "__init__",
        "model",
        "config",
        "graph",
        "rules",
        "queue",
        "telemetry",
        "delivery",
        "edge",
        "installation",
        "watch",
    },
    "app": {
        "__init__",
        "installation",
        "alerts",
        "watch",
        "doctor",
        "model",
        "config",
        "rules",
        "queue",
        "telemetry",
        "delivery",
        "edge",
        "operator",
    },
    "workers": {
        "installation",
        "model",
        "config",
        "rules",
        "queue",
        "telemetry",
        "edge",
        "app",
    },
    "cli": {
        "__init__",
        "static_files",
        "alerts",
        "model",
        "figures",
        "config",
        "graph",
        "backfill",
        "rules",
        "queue",
        "edge",
        "operator",
        "app",
        "workers",
        "installation",
        "doctor",
        "simulator",
    },
    "__main__": {"cli"},
}
# All rooms except the wiring use the queue through its contract; the wiring chooses the engine.
CONTRACT = "proxy.queue.contract"
BEFORE_THE_QUEUE = {"alerts", "watch", "telemetry", "delivery", "edge", "operator"}


def room_of(module: str) -> str:
    return module.split(".")[1] if module.startswith("proxy.") else "__init__"


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(path: Path) -> set[str]:
    """Return every module a file imports, wherever in the file; ``from proxy import x`` counts as ``proxy.x``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = node.module or ""
            below = {f"{module}.{alias.name}" for alias in node.names}
            is_package = (ROOT / Path(*module.split("."))).is_dir() and module.startswith("proxy")
            found |= (
                {name if (ROOT / f"{name.replace('.', '/')}.py").exists() else module for name in below}
                if (is_package)
                else {module}
            )
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    """Every import within the project is in the table."""
    room = room_of(name_of(path))
    used = {room_of(module) for module in imports(path) if module.split(".")[0] == "proxy"}

    assert used - {room} <= TABLE[room]


def test_doors_know_no_server() -> None:
    """Only ``edge/net`` imports aiohttp; doors use requests and answers that any server could provide."""
    doors = [path for path in MODULES if path.is_relative_to(ROOT / "proxy" / "edge") and path.parent.name != "net"]
    with_server = [name_of(path) for path in doors if "aiohttp" in {name.split(".")[0] for name in imports(path)}]

    assert doors
    assert with_server == []


def test_the_driver_is_known_to_its_engine_alone() -> None:
    """Only ``queue/postgres`` imports asyncpg, which is not part of every installation."""
    engine = ROOT / "proxy" / "queue" / "postgres"
    with_driver = [path for path in MODULES if "asyncpg" in {name.split(".")[0] for name in imports(path)}]

    assert with_driver
    assert [name_of(path) for path in with_driver if path.parent != engine] == []


def _watched(*arguments: str, hash_seed: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``purity.py``, which reports the side effects of the rules."""
    path = os.pathsep.join(str(ROOT / part) for part in ("", "tests", "tests/fuzz"))
    return subprocess.run(
        [sys.executable, str(ROOT / "tests" / "purity.py"), *arguments],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_rules_are_pure() -> None:
    """The rules handle requests and Graph's answers without a clock, a file, a socket or randomness.

    With another hash seed, so that sets have another order, all results are the same.
    """
    first, second = (_watched(hash_seed=seed) for seed in (1, 2))

    assert (first.returncode, first.stderr) == (0, ""), first.stdout + first.stderr
    assert len(first.stdout) == 64
    assert first.stdout == second.stdout


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("import time; time.time()", "time.time"),
        ("from time import monotonic_ns; monotonic_ns()", "time.monotonic_ns"),
        ("from datetime import datetime; datetime.now()", "datetime.now"),
        ("import time; time.gmtime()", "time.gmtime"),
        ("import random; random.random()", "random.random"),
        ("import random; random.Random()", "random.Random"),
        ("import secrets; secrets.token_hex()", "secrets.token_hex"),
        ("import os; os.urandom(1)", "os.urandom"),
        ("import uuid; uuid.uuid4()", "uuid.uuid4"),
        ("open('/dev/null').close()", "open '/dev/null'"),
        ("import os; os.listdir('/')", "os.listdir '/'"),
        ("import pathlib; pathlib.Path('/').exists()", "os.stat"),
        ("import os; os.getenv('PATH')", "_Environ.__getitem__"),
        ("import socket; socket.socket().close()", "socket.__new__"),
        ("import subprocess; subprocess.run('true')", "subprocess.Popen 'true'"),
        ("import sqlite3; sqlite3.connect(':memory:')", "sqlite3.connect"),
        ("import threading; threading.Thread(target=int).start()", "Thread.start"),
    ],
)
def test_an_impure_rule_is_seen(line: str, seen: str) -> None:
    """Each kind of side effect is reported, so that an empty report means something."""
    done = _watched("--line", line)

    assert done.returncode == 1
    assert f"proxy/rules/line.py:1 {seen}" in done.stdout


@pytest.mark.parametrize(
    "line", ["sum([1, 2])", "import time; time.gmtime(0)", "import datetime; datetime.date(1, 1, 1)"]
)
def test_a_pure_rule_passes(line: str) -> None:
    """A line without side effects is not reported."""
    assert _watched("--line", line).returncode == 0


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(name_of(path)) in BEFORE_THE_QUEUE], ids=name_of)
def test_the_engine_is_known_to_the_wiring_alone(path: Path) -> None:
    """Rooms in front of the queue import only its contract, so that any engine can be behind it."""
    assert {module for module in imports(path) if module.startswith("proxy.queue")} <= {CONTRACT}


def test_the_table_names_every_room() -> None:
    """The table has every room, and only rooms that exist."""
    assert {room_of(name_of(path)) for path in MODULES} == set(TABLE)


TESTS = sorted(ROOT.glob("tests/**/*.py"))


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_no_test_module_is_imported(path: Path) -> None:
    """Tests share only plain modules, so that a test can be changed without looking at others."""
    assert {module for module in imports(path) if module.startswith("test_")} == set()


def test_no_two_classes_share_a_name() -> None:
    """A class can be found by its name alone, in all of the program."""
    names = Counter(
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )

    assert [name for name, number in names.items() if number > 1] == []


@pytest.mark.parametrize(
    "module",
    [
        "proxy.cli.commands",
        *sorted({f"proxy.cli.{module}" for module in COMMAND_MODULES.values()}),
        *("proxy.app", "proxy.simulator.graph.app", "proxy.rules.browser"),
    ],
)
def test_modules_import_alone(module: str) -> None:
    """Each entry module imports in a fresh interpreter with warnings as errors: no import cycle, no deprecation."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"], cwd=ROOT, capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


SOURCES = sorted(
    path
    for pattern in ("proxy/**/*.py", "static/**/*.js", "proxy/**/*.js", "tests/**/*.py", "bench/*.py", "tools/*")
    for path in ROOT.glob(pattern)
    if path.is_file() and not path.name.startswith("test_") and not path.name.endswith(".min.js")
)
MOST_LINES = 250


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_is_short_or_says_why(path: Path) -> None:
    """A file of more than 250 lines says ``More than 250 lines: …`` in the comment or docstring at its head."""
    lines = path.read_text().splitlines()

    assert len(lines) <= MOST_LINES or f"More than {MOST_LINES} lines: " in "\n".join(lines[:30])
