"""Versions of shared suppressions after a fail-over that loses some of them."""

import time

import pytest

from proxy.model.suppression import SuppressionKind
from proxy.queue.postgres.database import Database, Role
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.postgres.transaction import Run

_LOST, _LATER = b"lost".ljust(16), b"later".ljust(16)


async def _suppress(database: Database, by: SharedSuppressions, person: bytes) -> None:
    async def add(run: Run) -> int:
        return await by.add(run, [person], SuppressionKind.OPT_OUT, time.time_ns() // 1_000_000)

    await database.transact(Role.APPEND, add)


async def _learn(database: Database, who: SharedSuppressions) -> None:
    async def look(run: Run) -> None:
        await who.catch_up(run)

    await database.transact(Role.DELIVER, look)


async def _lose_all(database: Database, *, clock_behind_ms: int) -> None:
    """Imitate a fail-over that loses all suppressions, to a server whose clock is behind."""
    await database.run(Role.BOOKS, "DELETE FROM mark")
    await database.run(Role.BOOKS, "UPDATE meta SET number = number - $1 WHERE key = 'marks'", clock_behind_ms)


@pytest.mark.parametrize("doubts", [True, False], ids=["read again", "believed"])
async def test_a_version_is_not_mistaken_for_another(database: Database, *, doubts: bool) -> None:
    """A suppression that reuses the number of a lost one is learnt only if the reader doubts what it knows."""
    maker, other = SharedSuppressions(), SharedSuppressions()
    await _suppress(database, maker, _LOST)
    # As if a clock that was a minute ahead had numbered the lost one.
    await database.run(Role.BOOKS, "UPDATE mark SET version = version + 60000")
    await database.run(Role.BOOKS, "UPDATE meta SET number = number + 60000 WHERE key = 'marks'")
    await _learn(database, other)
    await _lose_all(database, clock_behind_ms=120_000)
    if doubts:
        other.reread_last_day()
    await _suppress(database, maker, _LATER)
    await _learn(database, other)

    assert other.may_hold(_LATER) == doubts


async def test_versions_are_moments(database: Database) -> None:
    """A fail-over between servers whose clocks agree reuses no number, whatever it loses."""
    maker, other = SharedSuppressions(), SharedSuppressions()
    await _suppress(database, maker, _LOST)
    await _learn(database, other)
    (row,) = await database.run(Role.BOOKS, "SELECT number FROM meta WHERE key = 'marks'")
    await _lose_all(database, clock_behind_ms=row["number"])
    await _suppress(database, maker, _LATER)
    await _learn(database, other)

    assert other.may_hold(_LATER)
