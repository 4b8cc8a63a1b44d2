"""Erasures in the shared queue: waiting segments are written again without the person's events."""

import random

import pytest
from shared_books import Books
from support import record

from proxy.model.record import Record
from proxy.queue.contract import Erased
from proxy.queue.group import sealed_segment
from proxy.queue.postgres import erasing
from proxy.queue.postgres.database import Role

ANNA, BERT = b"anna" * 4, b"bert" * 4
LATER = 1 << 50


def about(number: int, *people: bytes, pixel: str = "1") -> Record:
    return record(number, pixel=pixel)._replace(person_digests=people)


async def test_one_persons_events_are_removed(books: Books, other: Books) -> None:
    """The person's events are removed from segments of any pixel; other events stay as they are, empty segments go."""
    await books.store([about(1, ANNA), about(2, BERT), about(3)])
    await books.store([about(4, ANNA, BERT)])
    await books.store([about(5)])
    await books.store([about(6, ANNA, pixel="2"), about(7, pixel="2")])

    assert await other.archive.erase([ANNA], LATER) == Erased(waiting=3, dead=0)
    waiting = await books.waiting()
    assert sorted(waiting, key=lambda some: some[0].id) == [
        [about(2, BERT), about(3)],
        [about(5)],
        [about(7, pixel="2")],
    ]


async def test_repeats_are_removed_too_and_not_counted(books: Books) -> None:
    """Records at skipped positions are removed as well; only those that waited are counted."""
    await books.store([about(1, ANNA), about(2, ANNA), about(3), about(4)], skip=[0, 3])

    assert (await books.archive.erase([ANNA], LATER)).waiting == 1
    assert await books.waiting() == [[about(3)]]
    (row,) = await books.database.run(Role.BOOKS, "SELECT skip, sealed FROM segment")
    assert row["skip"] is None
    assert await books.archive.erase([ANNA], LATER) == Erased()


async def test_a_segment_of_repeats_of_one_person(books: Books) -> None:
    """If only skipped records are about the person, the segment is written again and nothing is counted."""
    await books.store([about(1, ANNA), about(2)], skip=[0])

    assert (await books.archive.erase([ANNA], LATER)).waiting == 0
    assert await books.waiting() == [[about(2)]]


async def test_many_segments_are_searched_in_slices(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event about the person is found, whatever the boundaries of the slices."""
    monkeypatch.setattr(erasing, "_SLICE", erasing._SLICE.replace(f"LIMIT {erasing.SLICE}", "LIMIT 3"))
    chance = random.Random(7)  # noqa: S311 - the same each time
    expected = 0
    for number in range(40):
        is_anna = chance.random() < 0.4
        expected += is_anna
        await books.store([about(number, *([ANNA] if is_anna else []), pixel=str(chance.randrange(4)))])

    assert (await books.archive.erase([ANNA], LATER)).waiting == expected
    assert sum(map(len, await books.waiting())) == 40 - expected


@pytest.mark.parametrize("change", ["delivered", "written"])
async def test_what_a_leader_changes_meanwhile_is_looked_at_again(
    books: Books, other: Books, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A segment delivered meanwhile is left out, and one that its leader wrote again is opened again."""
    await books.store([about(1, ANNA), about(2)])
    joined = [about(1, ANNA)._replace(bot_reason="x"), about(3)]
    opened = 0
    unchanged = erasing.Erasing._written

    async def interrupted(self: erasing.Erasing, row: object, survivors: list[Record]) -> bool:
        nonlocal opened
        opened += 1
        if opened == 1:
            if change == "delivered":
                await other.database.run(Role.DELIVER, "DELETE FROM segment")
            else:
                sealed = sealed_segment("1", joined, 0, other.sealer).sealed
                await other.database.run(Role.DELIVER, "UPDATE segment SET sealed = $1", sealed)
        return await unchanged(self, row, survivors)

    monkeypatch.setattr(erasing.Erasing, "_written", interrupted)
    erased = await books.archive.erase([ANNA], LATER)

    left = [each.id for some in await books.waiting() for each in some]
    assert (erased.waiting, left) == ((0, []) if change == "delivered" else (1, ["id-3"]))


async def test_a_damaged_segment_stops_nobody(books: Books) -> None:
    """A damaged segment is left alone, and the others are searched."""
    await books.store([about(1, ANNA)])
    await books.database.run(Role.BOOKS, "UPDATE segment SET sealed = '\\x0102'")
    await books.store([about(2, ANNA)])

    assert (await books.archive.erase([ANNA], LATER)).waiting == 1
    assert len(await books.database.run(Role.BOOKS, "SELECT FROM segment")) == 1
