"""The import table: who may know whom. An arrow that is not here does not exist."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(ROOT.glob("proxy/**/*.py"))

# Room → the rooms it may import, besides itself. A room is a package, or a module right below ``proxy``.
TABLE: dict[str, set[str]] = {
    "__init__": set(),
    "model": set(),
    "hosts": set(),
    "settings": {"hosts"},
    "keys": set(),
    "terminal": set(),
    "config": {"settings", "hosts"},
    "rules": {"model", "settings", "keys", "hosts"},
    "queue": {"model", "settings", "keys"},
    "edge": {"model", "settings", "rules", "queue"},
    "simulator": set(),
    "web_servers": set(),
    "snippet": {"__init__", "settings", "web_servers"},
    "app": {"config", "settings", "keys", "model", "rules", "queue", "edge"},
    "doctor": {"app", "config", "settings", "model", "rules", "queue", "edge"},
    "books": {"app", "config", "model", "queue", "edge", "rules"},
    "demo": {"app", "config", "edge", "keys", "simulator"},
    "cli": {
        "__init__",
        "app",
        "config",
        "model",
        "queue",
        "edge",
        "books",
        "demo",
        "doctor",
        "snippet",
        "simulator",
        "terminal",
    },
    "__main__": {"cli"},
}
# The edge speaks with the queue's words; which engine answers is the wiring's business.
EDGE_KNOWS_OF_THE_QUEUE = {"proxy.queue.base"}

# What a rule must not touch: sockets, files, clocks, chance, threads, the environment.
IMPURE = {
    "aiohttp", "apsw", "asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "shutil",
    "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "uuid",
}  # fmt: skip


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
                {one if (ROOT / f"{one.replace('.', '/')}.py").exists() else module for one in below}
                if (is_package)
                else {module}
            )
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    """Every import within the project stands in the table."""
    room = room_of(name_of(path))
    used = {room_of(module) for module in imports(path) if module.split(".")[0] == "proxy"}

    assert used - {room} <= TABLE[room]


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(name_of(path)) == "rules"], ids=name_of)
def test_rules_are_pure(path: Path) -> None:
    """No rule imports anything that reads a clock, a file or a socket, or throws dice."""
    assert {module.split(".")[0] for module in imports(path)} & IMPURE == set()


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(name_of(path)) == "edge"], ids=name_of)
def test_the_edge_does_not_know_the_engine(path: Path) -> None:
    """Behind the seam any engine may stand."""
    assert {module for module in imports(path) if module.startswith("proxy.queue")} <= EDGE_KNOWS_OF_THE_QUEUE


def test_the_table_names_every_room() -> None:
    """No room escapes the table, and the table names none that is gone."""
    assert {room_of(name_of(path)) for path in MODULES} == set(TABLE)


@pytest.mark.parametrize("module", ["proxy.cli", "proxy.app", "proxy.simulator.app", "proxy.rules.ingest"])
def test_modules_import_alone(module: str) -> None:
    """Each entrance imports in a fresh interpreter with warnings as errors: no import cycle, no deprecation."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"], cwd=ROOT, capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
