"""Stored sightings are sealed, bounded and forgotten in time, and cannot make a claim or a commit fail."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import orjson
import pytest
import queues
from clock import NOON, Clock
from hypothesis import given
from hypothesis import strategies as st
from sighted import ANNA, claimed, joined, key, leave, left, order, resting, rows, told
from support import PIXEL, SECRET, raw_config, record, until

from proxy.config import load
from proxy.config.schema import QueueSettings, RetentionSettings
from proxy.installation import Installation
from proxy.installation import open_queue as installed_queue
from proxy.model.event import DropReason
from proxy.model.join import JoinKind, Sighting
from proxy.model.order import order_key
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.queue.contract import QueueError
from proxy.queue.seal import Sealer
from proxy.queue.sightings import open_sighting, seal_sighting
from proxy.queue.sqlite.engine import LocalQueue


async def test_nothing_of_a_visitor_is_readable_on_disk(queue: LocalQueue, tmp_path: Path) -> None:
    """Neither the file nor its log has an id, an address or a user agent in the clear."""
    await leave(queue, left("anna", order(1), address="93.184.216.99", user_agent="Rare/1.0"))
    files = await asyncio.to_thread(on_disk, tmp_path)

    assert [word for word in (b"fb.1.1.anna", b"93.184.216.99", b"Rare/1.0") if word in files] == []


def on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir() if path.name.startswith("queue.db"))


DAMAGE = ["x'01'", "zeroblob(200)", "substr(sealed, 1, 40)", "CAST(sealed || x'00' AS BLOB)", "x''"]


@pytest.mark.parametrize("damage", DAMAGE)
async def test_what_is_damaged_breaks_no_claim(queue: LocalQueue, damage: str) -> None:
    """A damaged sighting is ignored, so that its event leaves without data, and an opt-out still works."""
    await leave(queue, left("anna", order(1)), left("bert", order(2)))
    sql = f"UPDATE sighting SET sealed={damage} WHERE id=1"
    await queue._writer.do(lambda: queue._store.tables.db.execute(sql))

    assert [await joined(queue, order(number), number=number) for number in (1, 2)] == ["", "bert"]
    await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON)
    assert await rows(queue) == 1


def opened_with(directory: Path, clock: Clock, secret: str, old: Sequence[str] = ()) -> LocalQueue:
    return LocalQueue.open(
        directory,
        Sealer(secret, old),
        limits=QueueSettings(),
        retention=RetentionSettings(),
        now=clock,
        on_broken=lambda _error: None,
    )


@pytest.mark.parametrize(("old", "whose"), [((SECRET,), "anna"), ((), "")])
async def test_a_new_secret_opens_what_the_old_one_sealed_while_it_is_listed(
    tmp_path: Path, clock: Clock, old: Sequence[str], whose: str
) -> None:
    """If the old secret is no longer listed, its sightings are ignored, and the queue still opens and delivers."""
    queue = opened_with(tmp_path, clock, SECRET)
    await leave(queue, left("anna", order(1)))
    await queue.close()
    rotated = opened_with(tmp_path, clock, "n" * 40, (SECRET,))
    await rotated.close()
    again = opened_with(tmp_path, clock, "n" * 40, old)

    assert await joined(again, order(1)) == whose
    await again.close()


async def test_a_flood_ends_with_itself(queue: LocalQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the bound the oldest sightings are removed with all their keys, in any number at once."""
    monkeypatch.setattr(queue._store.tables.sightings, "_most", 100)
    await leave(queue, left("anna", order("a")))
    for start in range(0, 1200, 400):
        await leave(queue, *(left("eve", order(number), at=NOON + number) for number in range(start, start + 400)))
    await leave(queue, left("bert", order("b")))

    assert (await rows(queue), await rows(queue, "sighting_slot")) == (100, 300)
    assert [await joined(queue, order(who), number=number) for number, who in enumerate("ab")] == ["", "bert"]


async def test_what_is_too_old_is_forgotten(tmp_path: Path, clock: Clock) -> None:
    """Sightings older than the longest time of all sites are removed in slices, with all their keys."""
    queue = queues.open_queue(tmp_path, clock)
    await leave(queue, *(left("anna", order(number), at=NOON + number) for number in range(500)))
    await leave(queue, left("bert", order("b"), at=NOON + DAY_MS))
    table = queue._store.tables.sightings
    slices = 0
    while await queue._writer.do(lambda: table.forget(NOON + 8 * DAY_MS - 1, 7)):
        slices += 1

    assert (slices, await rows(queue), await rows(queue, "sighting_slot")) == (2, 1, 3)
    assert not await queue._writer.do(lambda: table.forget(NOON + 9 * DAY_MS, 7))
    assert not table.has_any
    await queue.close()


async def test_housekeeping_forgets_after_the_longest_join_days(tmp_path: Path, clock: Clock) -> None:
    """The retention is the longest ``join_days`` of the sites."""
    queue = queues.open_queue(tmp_path, clock)
    await leave(queue, left("anna", order(1)), left("anna", order(2), at=NOON + DAY_MS))
    await queue.close()
    clock.now += 8 * DAY_MS - 1
    again = queues.open_queue(tmp_path, clock)

    async def is_tidied() -> bool:
        return await rows(again) == 1

    await until(is_tidied, what="the retention")
    await again.close()


async def test_the_longest_join_days_of_all_sites_count(tmp_path: Path, clock: Clock) -> None:
    """A site with 30 days keeps its sightings that long, though another site has one day."""
    raw = raw_config("http://127.0.0.1:9", tmp_path, orders={"join_days": 30})
    raw["site"].append({**raw["site"][0], "name": "other", "prefix": "/other", "domains": ["other.example"]})
    raw["site"][1]["orders"] = {"join_days": 1}
    installation = Installation(load.parse(raw, {}, base=tmp_path), SECRET)
    queue = queues.local(await installed_queue(installation, clock))
    await leave(queue, left("anna", order(1), at=NOON - 29 * DAY_MS), left("bert", order(2), at=NOON - 31 * DAY_MS))
    await queue.close()
    again = queues.local(await installed_queue(installation, clock))

    async def is_tidied() -> bool:
        return [each.fbp for each in await resting(again)] == ["fb.1.1.anna"]

    await until(is_tidied, what="the retention")
    await again.close()


async def test_a_commit_that_fails_leaves_no_sighting(queue: LocalQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed commit leaves no sighting in the file or in memory; the next commit works."""
    table = queue._store.tables.sightings
    leave_all: Callable[[Any], None] = table.store

    def fail(brought: Any) -> None:
        leave_all(brought)
        raise RuntimeError

    monkeypatch.setattr(table, "store", fail)
    with pytest.raises(QueueError):
        await queue.append([record(1)], sightings=[left("anna", order(1))])
    assert not table.has_any
    monkeypatch.undo()

    assert (await rows(queue), queue.stats().waiting) == (0, {})
    await queue.append([record(1)], sightings=[left("bert", order(1))])
    assert await claimed(queue) == [record(1)]
    assert await joined(queue, order(1), number=2) == "bert"


async def test_a_claim_that_fails_is_as_if_it_had_not_been(queue: LocalQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failed claim wrote is rolled back, and the next claim joins the event."""
    await queue.append([told(order(1), unknown="drop", order=order_key("shop", "Purchase", "1"))])
    with monkeypatch.context() as broken:
        broken.setattr(queue._store.tables.segments, "keep", lambda *_: 1 / 0)
        with pytest.raises(QueueError):
            await queue.claim(PIXEL, most=10)
    await leave(queue, left("anna", order(1)))

    assert queue.stats().withheld == {}
    assert [orjson.loads(found.payload)["user_data"]["fbp"] for found in await claimed(queue)] == ["fb.1.1.anna"]


async def test_further_attempts_send_the_same_bytes(tmp_path: Path, clock: Clock) -> None:
    """A joined event is the same after a crash, whatever sightings came or went since."""
    queue = queues.open_queue(tmp_path, clock)
    await queue.append([told(order(1))], sightings=[left("anna", order(1))])
    first = await claimed(queue)
    await leave(queue, left("bert", order(1)))
    await queue._writer.do(lambda: queue._store.tables.db.execute("DELETE FROM sighting"))
    await queue.close()
    again = queues.open_queue(tmp_path, clock)

    assert await claimed(again) == first
    assert first[0].id == f"Purchase-anna-{NOON}"
    assert first[0].person_digests == (ANNA,)
    await again.close()


async def test_many_events_of_servers_are_joined_in_two_statements(queue: LocalQueue) -> None:
    """Sightings for a whole segment are looked up with two statements, or none if there is no sighting at all."""
    table = queue._store.tables.sightings
    wanted = {key(JoinKind.EMAIL, number)[1] for number in range(500)}
    assert await steps(queue, lambda: table.find(wanted)) == 0
    await leave(queue, *(left("anna", key(JoinKind.EMAIL, number), at=NOON + number) for number in range(300)))

    assert await steps(queue, lambda: table.find(wanted)) == 2


async def steps(queue: LocalQueue, work: Callable[[], object]) -> int:
    """Return how many statements a work executes."""
    texts: list[Any] = []
    db = queue._store.tables.db

    def traced() -> None:
        db.trace_v2(apsw.SQLITE_TRACE_STMT, texts.append)
        work()
        db.trace_v2(0, None)

    await queue._writer.do(traced)
    return len(texts)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SIGHTINGS = st.builds(
    Sighting,
    TEXT,
    st.lists(st.tuples(st.sampled_from(JoinKind), st.binary(min_size=16, max_size=16)), max_size=8).map(tuple),
    *(TEXT, TEXT, st.integers(0, 2**45), st.binary(max_size=8), TEXT, TEXT, TEXT, TEXT),
    st.none() | st.tuples(st.lists(TEXT, max_size=2).map(tuple), st.integers(0, 9999), st.integers(0, 9999)),
    st.lists(st.binary(min_size=16, max_size=16), max_size=3).map(tuple),
    st.sampled_from(["", *DropReason]),
)


@given(SIGHTINGS, st.data())
def test_what_is_sealed_comes_back(sighting: Sighting, data: st.DataObject) -> None:
    """An opened sighting equals the sealed one, with the kinds of its keys; one that is cut opens to nothing."""
    sealer = Sealer(SECRET)
    sealed = seal_sighting(sighting, sealer)
    found = open_sighting(sealed, sealer)

    assert found == sighting
    assert found is not None
    assert all(kind is JoinKind(kind) for kind, _ in found.keys)
    assert open_sighting(sealed[: data.draw(st.integers(0, len(sealed) - 1))], sealer) is None
