"""Query plans of our statements: finds all statements, fills the tables, and reports plans that read too much.

Statements are found automatically: those that sessions execute while something works with the queue are recorded, and
``unseen`` names the texts in the source that are part of none of them.
"""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.queue.postgres.session import Session

PACKAGE = Path(__file__).resolve().parent.parent.parent / "proxy" / "queue" / "postgres"
SMALL_TABLES = {"lane", "meta", "pixel_order", "replica"}
"""Tables with a row for each pixel, fact or process; their statements are meant to read all of them."""
COUNTS = {"SELECT count(*) AS letters FROM dead", "SELECT kind, count(*) AS count FROM mark GROUP BY kind"}
"""Statements that count dead letters and suppressions once a minute, which read the whole of an index."""
_NOT_OURS = {
    "look.py",
    "look_texts.py",
    "old_file.py",
    "schema.py",
    "schema_rights.py",
    "server_facts.py",
    "session.py",
}
"""Files whose statements concern the catalogue, create our tables, or run on an old SQLite file."""
_SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")
_EXPLAINED = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_SCANS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan"}


@dataclass
class Recorder:
    """The statements that sessions executed."""

    statements: dict[str, None] = field(default_factory=dict)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record what any session executes until the context ends."""
        fetch, execute = Session.fetch, Session.execute

        async def heard_fetch(session: Session, statement: str, *arguments: object) -> Any:
            self.statements.setdefault(statement)
            return await fetch(session, statement, *arguments)

        async def heard_execute(session: Session, statements: str) -> str:
            self.statements.setdefault(statements)
            return await execute(session, statements)

        Session.fetch, Session.execute = heard_fetch, heard_execute  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            Session.fetch, Session.execute = fetch, execute  # type: ignore[method-assign]

    def explicable(self) -> list[str]:
        """Return the recorded statements that have a query plan."""
        return [each for each in self.statements if _EXPLAINED.match(each)]


# -- the source


def texts(package: Path = PACKAGE) -> dict[str, str]:
    """Return each SQL text in the source as a pattern, by file and line; placeholders match anything."""
    found: dict[str, str] = {}
    for path in sorted(package.glob("*.py")):
        if path.name not in _NOT_OURS:
            tree = ast.parse(path.read_text())
            found |= {f"{path.name}:{line}": pattern for line, pattern in _patterns(tree)}
    return found


def _patterns(tree: ast.Module) -> Iterator[tuple[int, str]]:
    skipped = {id(part) for node in ast.walk(tree) for part in _no_statements(node)}
    for node in ast.walk(tree):
        text = _text(node)
        if text and id(node) not in skipped and _SQL.search(text) and "CREATE " not in text:
            yield node.lineno, _pattern(text)  # type: ignore[attr-defined]


def _no_statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield strings that are parts of another string, or documentation."""
    if isinstance(node, ast.JoinedStr):
        yield from (part for value in node.values for part in ast.walk(value))
    if isinstance(node, ast.Expr):
        yield node.value


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
        case _:
            return ""


def _pattern(text: str) -> str:
    return ".*?".join(re.escape(_in_one_line(part)) for part in re.split(r"\{\w*\}", text))


def _in_one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def constants(package: Path = PACKAGE) -> list[str]:
    """Return the complete statements among the modules' constants."""
    found = [
        value
        for path in sorted(package.glob("*.py"))
        if path.name not in _NOT_OURS
        for value in vars(importlib.import_module(f"proxy.queue.postgres.{path.stem}")).values()
        if isinstance(value, str) and _EXPLAINED.match(value) and "{" not in value
    ]
    return [each for each in dict.fromkeys(found) if not any(each in other for other in found if other != each)]


def unseen(patterns: dict[str, str], statements: list[str]) -> list[str]:
    """Return file and line of the texts that are part of none of the statements."""
    lines = [_in_one_line(statement) for statement in statements]
    return [
        place for place, pattern in patterns.items() if not any(re.search(pattern, line, re.DOTALL) for line in lines)
    ]


# -- the tables

_VALUES = {
    "text": "'x' || i",
    "uuid": "md5({column:?} || i)::uuid",
    "bytea": "decode(md5(i::text), 'hex')",
    "smallint": "i % 30000",
    "integer": "1 + i % 1000000000",
    "bigint": "1 + i",
    "boolean": "i % 2 = 0",
    "timestamp with time zone": "now() - i * interval '1 s'",
    "double precision": "i",
}


async def tables(session: Session) -> list[str]:
    """Return the names of our tables, without the small ones."""
    rows = await session.fetch("SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()")
    return sorted(row["name"] for row in rows if row["name"] not in SMALL_TABLES)


async def fill(session: Session, rows: int, *, lane: str) -> None:
    """Insert rows into each table, with values for all its columns; a tenth of them concern one lane.

    Args:
        session: A session with a server of the tests.
        rows: How many rows.
        lane: The id of a pixel.
    """
    for table in await tables(session):
        found = await session.fetch(
            "SELECT column_name::text AS name, data_type::text AS type FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = $1 AND is_nullable = 'NO'",
            table,
        )
        values = [_value(row["name"], row["type"], lane) for row in found]
        names = ", ".join(row["name"] for row in found)
        await session.execute(
            f"INSERT INTO {table}({names}) SELECT {', '.join(values)} FROM generate_series(1, {rows}) i"
            f" ON CONFLICT DO NOTHING; ANALYZE {table}"
        )


def _value(column: str, kind: str, lane: str) -> str:
    if column in {"lane", "pixel"}:
        return f"CASE WHEN i % 10 = 0 THEN '{lane}' ELSE 'x' || i % 100 END"
    return _VALUES[kind].replace("{column:?}", f"'{column}'")


# -- the plans

# An index helps only if its first column is known; otherwise it is read from end to end as well.
_LEADING = """
SELECT indexrelid::regclass::text AS name, indrelid::regclass::text AS table, attname::text AS column
FROM pg_index JOIN pg_attribute ON attrelid = indexrelid AND attnum = 1
"""


async def offences(session: Session, statement: str) -> list[str]:
    """Return the large tables that a statement's plan reads from end to end.

    Args:
        session: One that plans like the proxy's own, once for all arguments.
        statement: With its parameters.
    """
    count = max([0, *map(int, re.findall(r"\$(\d+)", statement))])
    arguments = f"({', '.join(['NULL'] * count)})" if count else ""
    await session.execute(f"PREPARE explained AS {statement}")
    try:
        rows = await session.fetch(f"EXPLAIN (FORMAT JSON) EXECUTE explained{arguments}")
    finally:
        await session.execute("DEALLOCATE explained")
    plan = rows[0][0]
    indexes = {row["name"]: (row["table"], row["column"]) for row in await session.fetch(_LEADING)}
    return list(_offending((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"], indexes, bounded=False))


def _offending(node: dict[str, Any], indexes: dict[str, tuple[str, str]], *, bounded: bool) -> Iterator[str]:
    """Yield large tables that are read from end to end; below a LIMIT an index may be read from its beginning."""
    kind = node["Node Type"]
    table, column = indexes.get(node.get("Index Name", ""), (node.get("Relation Name", ""), ""))
    guided = column and re.search(rf"\b{column}\b", node.get("Index Cond", ""))
    if kind in _SCANS and not guided and (kind == "Seq Scan" or not bounded) and table not in SMALL_TABLES:
        yield from [] if table.startswith("pg_") else [table]
    for part in node.get("Plans", ()):
        yield from _offending(part, indexes, bounded=bounded or kind == "Limit")
