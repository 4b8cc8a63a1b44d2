"""The table of small counts by hour, kind and subject; a bounded number of subjects of a kind is counted separately."""

from collections.abc import Iterable

import apsw

from proxy.model.rollup import OTHER, Tally
from proxy.model.units import DAY_MS, HOUR_MS

SCHEMA = """
CREATE TABLE tally(
    hour INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY(hour, kind, subject)
) WITHOUT ROWID;
"""
SUBJECTS = 100
"""How many subjects of a kind and an hour are counted separately; further ones are counted together."""
_MOST_WORD = 200
_FORGOTTEN = 1000
_HOURS_OF_DAY = DAY_MS // HOUR_MS


class Tallies:
    """The table of small counts; works on a connection it does not own, within transactions it does not start."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def add(self, tallies: Iterable[Tally]) -> None:
        """Add to the counts."""
        for tally in tallies:
            kind = tally.kind[:_MOST_WORD]
            row = (tally.hour, kind, self._subject(tally.hour, kind, tally.subject[:_MOST_WORD]), tally.count)
            self._db.execute("INSERT INTO tally VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET count=count+?4", row)

    def _subject(self, hour: int, kind: str, subject: str) -> str:
        sql = "SELECT count(*), coalesce(sum(subject=?3), 0) FROM tally WHERE hour=?1 AND kind=?2"
        ((subjects, known),) = self._db.execute(sql, (hour, kind, subject)).fetchall()
        return subject if known or int(str(subjects)) < SUBJECTS else OTHER

    def read(self, since_hour: int, until_hour: int) -> list[Tally]:
        """Return the counts from one hour up to before another."""
        sql = "SELECT hour, kind, subject, count FROM tally WHERE hour>=? AND hour<? ORDER BY hour, kind, subject"
        return [
            Tally(int(str(hour)), str(kind), str(subject), int(str(count)))
            for hour, kind, subject, count in self._db.execute(sql, (since_hour, until_hour))
        ]

    def forget(self, now: int, days: int) -> bool:
        """Remove a slice of what is older than so many days; tell whether there may be more."""
        last = (now // DAY_MS - days) * _HOURS_OF_DAY
        oldest = f"SELECT hour, kind, subject FROM tally WHERE hour<? LIMIT {_FORGOTTEN}"  # noqa: S608 - our own text
        self._db.execute(f"DELETE FROM tally WHERE (hour, kind, subject) IN ({oldest})", (last,))  # noqa: S608
        return self._db.changes() >= _FORGOTTEN
