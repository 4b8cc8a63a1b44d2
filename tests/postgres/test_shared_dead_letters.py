"""Shared dead letters: not stored for people who opted out, replayed once, by whichever proxy is asked."""

import asyncio
from collections.abc import Sequence

import pytest
from clock import Clock
from shared_books import Books
from support import PIXEL, record

from proxy.model.suppression import SuppressionKind
from proxy.model.verdict import GraphError
from proxy.queue.contract import Filter, NewDeadLetter
from proxy.queue.postgres.database import Role
from proxy.queue.postgres.dead_letters import SLICE
from proxy.queue.postgres.transaction import Run

ANNA, BERT = b"anna" * 4, b"bert" * 4
ERROR = GraphError(100, 2804017, "Graph's words", "trace")


def letter(number: int, *people: bytes, reason: str = "rejected") -> NewDeadLetter:
    return NewDeadLetter(record(number)._replace(person_digests=people), reason, ERROR, 3)


async def test_letters_are_the_same_at_every_proxy(books: Books, other: Books) -> None:
    """A proxy lists the letters of all, newest first, with Graph's error and the payload."""
    assert await books.bury(letter(1), letter(2)) == 2
    assert await other.bury(letter(3, reason="too_old")) == 1
    found = await other.archive.dead_letters(Filter())

    assert [(each.id, each.event_id) for each in found] == [(3, "id-3"), (2, "id-2"), (1, "id-1")]
    assert found == await books.archive.dead_letters(Filter())
    first = found[-1]
    assert (first.graph_error, first.attempts, first.payload) == (ERROR, 3, record(1).whole)
    assert (first.at, first.pixel, first.name, first.reason) == (books.clock(), PIXEL, "PageView", "rejected")


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Filter(limit=2), [5, 4]),
        (Filter(before=3), [2, 1]),
        (Filter(reason="too_old"), [4]),
        (Filter(id="id-2"), [2]),
        (Filter(pixel="77"), []),
        (Filter(pixel=PIXEL, name="PageView", before=5, limit=1), [4]),
        (Filter(name="a\0b"), []),
    ],
)
async def test_letters_are_chosen(books: Books, wanted: Filter, ids: list[int]) -> None:
    """Letters can be filtered by their fields and their numbers."""
    await books.bury(*(letter(number, reason="too_old" if number == 4 else "rejected") for number in range(1, 6)))

    assert [each.id for each in await books.archive.dead_letters(wanted)] == ids


async def test_very_many_letters_come_page_by_page(books: Books) -> None:
    """Letters that exceed a page are all listed."""
    await books.bury(*(letter(number) for number in range(250)))

    assert len(await books.archive.dead_letters(Filter(limit=1000))) == 250
    assert len(await books.archive.dead_letters(Filter(limit=101))) == 101


async def test_a_number_is_never_given_twice(books: Books, other: Books) -> None:
    """A number is not reused after the newest letter was discarded, and not given to two letters at the same time."""
    await books.bury(letter(1))
    assert await books.archive.discard([1]) == 1
    await asyncio.gather(*(each.bury(letter(number)) for number in range(10) for each in (books, other)))
    numbers = {each.id for each in await books.archive.dead_letters(Filter())}

    assert (len(numbers), min(numbers)) == (20, 2)


async def test_nobody_who_opted_out_is_buried(books: Books, other: Books) -> None:
    """An opt-out at another proxy counts at once; an erasure counts for events from before it."""
    await other.suppress([ANNA], SuppressionKind.OPT_OUT, books.clock())
    await other.suppress([BERT], SuppressionKind.ERASURE, record(2).time_s * 1000 - 1)
    buried = await books.bury(letter(1, ANNA), letter(2, BERT), letter(3))

    assert buried == 2
    assert {each.event_id for each in await books.archive.dead_letters(Filter())} == {"id-2", "id-3"}


async def test_an_erasure_of_the_same_moment_misses_no_letter(books: Books, other: Books) -> None:
    """A letter that is being written while its person is erased is either refused, or found and removed."""
    buried, erased = asyncio.Event(), []
    begun = asyncio.Event()

    async def bury() -> None:
        async with books.database.transaction(Role.DELIVER) as run:
            await books.graveyard.add_letters(run, [letter(1, ANNA)])
            begun.set()
            # Long enough for the erasure to finish, if it did not wait.
            await asyncio.wait((erasing,), timeout=0.5)
        buried.set()

    async def erase() -> None:
        await begun.wait()
        erased.append(await other.archive.erase([ANNA], 1 << 50))

    erasing = asyncio.create_task(erase())
    await asyncio.gather(bury(), erasing)

    assert await books.archive.dead_letters(Filter()) == []
    assert erased[0].dead == 1


async def test_a_replay_puts_letters_back_with_the_same_ids(books: Books, other: Books) -> None:
    """Letters that are not too old wait again, in the order asked for, and are no dead letters any more."""
    young, old = letter(1), NewDeadLetter(record(2, time_s=1000), "rejected", ERROR, 3)
    await books.bury(young, old, letter(3), NewDeadLetter(record(4, pixel="77"), "rejected", ERROR, 1))
    replayed = await other.archive.replay([3, 1, 2, 4, 99, 3], not_before_s=record(1).time_s)

    assert replayed == 3
    assert await books.waiting() == [[record(3), record(1)], [record(4, pixel="77")]]
    assert [each.id for each in await books.archive.dead_letters(Filter())] == [2]


async def test_two_replays_of_one_letter_send_it_once(books: Books, other: Books) -> None:
    """Two parallel replays and a discard each get a part of the letters."""
    await books.bury(*(letter(number) for number in range(150)))
    ids = list(range(1, 151))
    counts = await asyncio.gather(
        books.archive.replay(ids, not_before_s=0),
        other.archive.replay(ids[::-1], not_before_s=0),
        other.archive.discard(ids[50:]),
    )

    assert sum(counts) == 150
    assert sum(map(len, await books.waiting())) == counts[0] + counts[1]
    assert await books.archive.dead_letters(Filter()) == []


async def test_a_letter_that_is_taken_at_this_moment_is_not_taken_twice(books: Books, other: Books) -> None:
    """A replay that meets a letter taken by an open transaction waits for its end, and then leaves the letter out."""
    await books.bury(letter(1), letter(2))
    async with books.database.transaction(Role.DELIVER) as run:
        assert len(await books.dead.take(run, [1], 0)) == 1
        second = asyncio.create_task(other.archive.replay([2, 1], not_before_s=0))
        await asyncio.wait((second,), timeout=0.3)
        assert not second.done()

    assert await second == 1


async def test_a_damaged_letter_hides_no_other(books: Books) -> None:
    """A damaged letter is listed without its event, is not replayed, and can be erased or discarded."""
    await books.bury(letter(1, ANNA), letter(2, ANNA))
    await books.database.run(Role.BOOKS, "UPDATE dead SET sealed = '\\x00' WHERE id = 1")

    assert [each.payload for each in await books.archive.dead_letters(Filter())] == [record(2).whole, b""]
    assert await books.archive.replay([1], not_before_s=0) == 0
    assert (await books.archive.erase([ANNA], 1 << 50)).dead == 1
    assert await books.archive.discard([1]) == 1


async def test_odd_texts_are_buried(books: Books) -> None:
    """Texts that PostgreSQL cannot hold are shown approximately, and the replayed event is unchanged."""
    odd = letter(1)
    error = GraphError(1 << 40, None, "words\0", "tr\ud800ace")
    await books.bury(NewDeadLetter(odd.record._replace(name="a\0b"), "rejected", error, 1))
    (found,) = await books.archive.dead_letters(Filter(name="a\0b"))

    assert (found.name, found.graph_error) == ("a\ufffdb", GraphError(1 << 40, None, "words\ufffd", "tr?ace"))
    assert await books.archive.replay([1], not_before_s=0) == 1
    assert (await books.waiting())[0][0].name == "a\0b"


async def forgotten(books: Books, before: int) -> bool:
    async def work(run: Run) -> bool:
        return await books.dead.forget(run, before)

    return await books.database.transact(Role.BOOKS, work)


async def test_old_letters_are_forgotten_a_slice_at_a_time(books: Books, clock: Clock) -> None:
    """A transaction removes at most a slice, and younger letters stay."""
    for start in range(0, SLICE + 500, 500):
        await books.bury(*(letter(number) for number in range(start, start + 500)))
    clock.now += 10
    await books.bury(letter(9999))
    slices: Sequence[bool] = [await forgotten(books, clock.now) for _ in range(3)]

    assert slices == [True, False, False]
    assert [each.event_id for each in await books.archive.dead_letters(Filter())] == ["id-9999"]
