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
    "static_files": set(),
    "model": set(),
    "config": set(),
    "graph": {"model"},
    "rules": {"model", "config", "graph"},
    "queue": {"model", "config"},
    "telemetry": {"model", "rules", "queue"},
    "delivery": {"model", "config", "graph", "queue", "telemetry"},
    "edge": {"static_files", "model", "config", "rules", "queue", "telemetry"},
    "operator": {"static_files", "model", "graph", "rules", "queue", "telemetry", "delivery", "edge"},
    "simulator": set(),
    "app": {"model", "config", "rules", "queue", "telemetry", "delivery", "edge", "operator"},
    "doctor": {"model", "config", "graph", "rules", "queue", "telemetry", "delivery", "app"},
    "cli": {
        "__init__",
        "static_files",
        "model",
        "config",
        "graph",
        "rules",
        "queue",
        "edge",
        "operator",
        "app",
        "doctor",
        "simulator",
    },
    "__main__": {"cli"},
}
# All but the wiring speak with the queue by its contract; which engine answers is the wiring's business.
CONTRACT = "proxy.queue.contract"
BEFORE_THE_QUEUE = {"telemetry", "delivery", "edge", "operator"}

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


@pytest.mark.parametrize(
    "path", [path for path in MODULES if room_of(name_of(path)) in {"model", "graph", "rules"}], ids=name_of
)
def test_rules_are_pure(path: Path) -> None:
    """No rule imports anything that reads a clock, a file or a socket, or throws dice."""
    assert {module.split(".")[0] for module in imports(path)} & IMPURE == set()


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(name_of(path)) in BEFORE_THE_QUEUE], ids=name_of)
def test_the_engine_is_known_to_the_wiring_alone(path: Path) -> None:
    """Behind the contract any engine may stand."""
    assert {module for module in imports(path) if module.startswith("proxy.queue")} <= {CONTRACT}


def test_the_table_names_every_room() -> None:
    """No room escapes the table, and the table names none that is gone."""
    assert {room_of(name_of(path)) for path in MODULES} == set(TABLE)


@pytest.mark.parametrize(
    "module", ["proxy.cli.commands", "proxy.app", "proxy.simulator.graph.app", "proxy.rules.browser"]
)
def test_modules_import_alone(module: str) -> None:
    """Each entrance imports in a fresh interpreter with warnings as errors: no import cycle, no deprecation."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"], cwd=ROOT, capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
