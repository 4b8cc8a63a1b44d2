"""Tallies: counts of things that no ledger row records, for a bounded number of subjects of each kind and hour."""

from collections import Counter
from collections.abc import Iterable

from proxy.model.rollup import OTHER, Tally
from proxy.queue.postgres.ledger_rows import storable_text
from proxy.queue.postgres.transaction import Run

MOST_SUBJECTS = 100
"""Subjects of a kind that are told apart in an hour."""
_MOST_WORD = 200
_KNOWN = """
SELECT t.hour, t.kind, t.subject FROM (SELECT DISTINCT hour, kind FROM unnest($1::int4[], $2::text[]) u(hour, kind)) u
JOIN tally t ON t.hour = u.hour AND t.kind = u.kind
"""
_RAISE = """
INSERT INTO tally AS t(hour, kind, subject, count)
SELECT * FROM unnest($1::int4[], $2::text[], $3::text[], $4::int8[]) u(hour, kind, subject, count)
ORDER BY hour, kind, subject
ON CONFLICT (hour, kind, subject) DO UPDATE SET count = t.count + excluded.count
"""
_READ = "SELECT hour, kind, subject, count FROM tally WHERE hour >= $1 AND hour < $2 ORDER BY hour, kind, subject"


async def add(run: Run, tallies: Iterable[Tally]) -> None:
    """Add counts within a transaction.

    Args:
        run: Runs its statements.
        tallies: The counts.
    """
    added = [(each.hour, _word(each.kind), _word(each.subject), each.count) for each in tallies]
    if not added:
        return
    known: dict[tuple[int, str], set[str]] = {}
    for hour, kind, subject in await run(_KNOWN, [each[0] for each in added], [each[1] for each in added]):
        known.setdefault((hour, kind), set()).add(subject)
    sums: Counter[tuple[int, str, str]] = Counter()
    for hour, kind, subject, count in added:
        subjects = known.setdefault((hour, kind), set())
        if len(subjects) < MOST_SUBJECTS:
            subjects.add(subject)
        sums[hour, kind, subject if subject in subjects else OTHER] += count
    keys = sorted(sums)
    await run(_RAISE, *map(list, zip(*keys, strict=True)), [sums[key] for key in keys])


async def read(run: Run, since_hour: int, until_hour: int) -> list[Tally]:
    """Return the counts of some hours.

    Args:
        run: Runs statements of the page's transaction.
        since_hour: The first of them.
        until_hour: The first that is not wanted.
    """
    most = (1 << 31) - 1
    return [Tally(*row) for row in await run(_READ, max(0, min(since_hour, most)), max(0, min(until_hour, most)))]


def _word(said: str) -> str:
    return storable_text(said[:_MOST_WORD])
