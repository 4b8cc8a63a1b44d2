"""The backfill reads files without opening them itself, and without a clock or randomness."""

import ast
from pathlib import Path

import pytest

ROOM = Path(__file__).resolve().parent.parent.parent / "proxy" / "backfill"
NEEDED = {"array", "collections", "csv", "datetime", "enum", "hashlib", "math", "msgspec", "orjson", "pathlib", "proxy"}
NEEDED |= {"dataclasses", "re", "types", "typing", "unicodedata"}
OUT = {"open", "now", "today", "fromtimestamp", "Path", "read_bytes", "read_text"}


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.stem)
def test_the_backfill_is_pure(path: Path) -> None:
    """No module of the package imports or calls anything that reaches the system; times may only be shown in UTC."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    names = {ast.unparse(call.func).rpartition(".")[2] for call in calls if "UTC" not in ast.unparse(call)}

    assert {name.split(".")[0] for name in imported} <= NEEDED
    assert not names & OUT
