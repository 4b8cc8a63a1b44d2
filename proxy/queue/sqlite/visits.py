"""Reads and writes the tables of the duplicate memory: one statement for a whole group, and one row of answers.

Between two steps of SQLite the writer thread may have to wait for the interpreter's lock, which under heavy load takes
longer than the step. So the number of statements does not depend on the size of the group.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import apsw
import orjson

# Each value of a bound array is the key of a visit, followed by the worth of a Purchase where that is looked up or
# written. One id may have any number of visitors, so none of these reads the rows of more than one, except the search
# for what contradicts a Purchase. SQLite makes text of concatenated blobs, hence CAST.
_OF_EVENT = "key > substr(value, 1, 12) AND key < CAST(substr(value, 1, 12) || x'ffffffffff' AS BLOB)"
_OF_EVENT_OLD = "key=substr(value, 1, 16)"
_OTHER_WORTH = " AND length(worth) AND worth<>substr(value, 17)"
_MET = f"SELECT 1 FROM carray(?{{array}}) WHERE EXISTS(SELECT 1 FROM {{table}} WHERE {_OF_EVENT})"  # noqa: S608 - our own text
_FOUND = "SELECT {array} AS array, value, %s AS fact FROM carray(?{array}) WHERE EXISTS(SELECT 1 FROM {table} WHERE %s)"
_BY_THIS = (
    "EXISTS(SELECT 1 FROM {table} WHERE key=value)"
    " + 2 * EXISTS(SELECT 1 FROM {table} WHERE key=CAST(substr(value, 1, 12) || x'ffffffff' AS BLOB))"
)
_BY_THIS_OLD = "EXISTS(SELECT 1 FROM {table} WHERE key=substr(value, 1, 16) AND visitor=substr(value, 17))"
_INSERT = "INSERT INTO {table} SELECT substr(value, 1, 16), substr(value, 17) FROM carray(?1)"

KNOWN = _FOUND % (_BY_THIS, _OF_EVENT)
"""Which events anybody brought: 1 if this visitor did, 2 if a server did, 3 if both, 0 if only others did."""
KNOWN_OLD = _FOUND % (_BY_THIS_OLD, _OF_EVENT_OLD)
"""The same for a table of layout 5, which knew no servers' events."""
CONTRADICTED = _FOUND % ("1", _OF_EVENT + _OTHER_WORTH)
"""Which Purchases anybody brought with another worth."""
CONTRADICTED_OLD = _FOUND % ("1", _OF_EVENT_OLD + _OTHER_WORTH)
"""The same for a table of layout 5."""


class Question(NamedTuple):
    """What one table is asked."""

    sql: str
    """One of the texts above."""
    table: str
    asked: Mapping[bytes, bytes]
    """The values of its bound array, each with the name under which it is returned if it is found."""


class Visits:
    """The tables of visits; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def answers(self, questions: Iterable[Question]) -> list[tuple[bytes, int]]:
        """Ask several tables; return for each value that is found its name and the fact that was asked for."""
        asked = [question for question in questions if question.asked]  # an empty array cannot be bound
        if not asked:
            return []
        found = " UNION ALL ".join(
            sql.format(array=array, table=table) for array, (sql, table, _) in enumerate(asked, 1)
        )
        arrays = tuple(_array(sorted(question.asked)) for question in asked)
        sql = f"SELECT json_group_array(json_array(array, hex(value), fact)) FROM ({found})"  # noqa: S608 - our own text
        ((answers,),) = self._db.execute(sql, arrays).fetchall()
        return [
            (asked[array - 1].asked[bytes.fromhex(value)], int(fact))
            for array, value, fact in orjson.loads(str(answers))
        ]

    def add(self, table: str, visits: Iterable[bytes]) -> None:
        """Remember visits that are not known yet, each given as its key followed by its worth."""
        if ordered := sorted(visits):
            self._db.execute(_INSERT.format(table=table), (_array(ordered),))

    def add_if_new(self, visits: Sequence[tuple[str, Sequence[bytes]]]) -> bool:
        """Remember visits of different events if none of the events was brought before; tell whether that is so.

        Args:
            visits: The tables to ask, each with the visits that it may know. The first is asked for all visits, and
                they are remembered there. Visits are sorted by key, so that neighbours in a table are written together.
        """
        tables, values = zip(*visits, strict=True)
        self._db.execute(_insert_if_new(tables), tuple(map(_array, values)))
        return self._db.changes() > 0


@lru_cache(maxsize=16)
def _insert_if_new(tables: tuple[str, ...]) -> str:
    met = " UNION ALL ".join(_MET.format(array=array, table=table) for array, table in enumerate(tables, 1))
    return f"{_INSERT.format(table=tables[0])} WHERE NOT EXISTS({met})"


def _array(values: Sequence[bytes]) -> object:
    return apsw.carray(tuple(values))
