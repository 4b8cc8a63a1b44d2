"""Nothing of a visitor who refused is kept or sent, whenever the refusal comes."""

from collections.abc import Sequence

import pytest
from clock import NOON
from sighted import ANNA, BERT, claimed, joined, leave, left, order, resting, rows, told
from support import PIXEL, record

from proxy.model.event import DropReason
from proxy.model.suppression import SuppressionKind
from proxy.model.units import DAY_MS
from proxy.queue.contract import WholeQueue
from proxy.queue.group import Append
from proxy.queue.sightings import forbid_sighting
from proxy.queue.sqlite.engine import LocalQueue

pytestmark = pytest.mark.both_engines

REFUSALS = [
    (SuppressionKind.OPT_OUT, DropReason.OPTED_OUT),
    (SuppressionKind.WITHDRAWAL, DropReason.NO_CONSENT),
]


@pytest.mark.parametrize(("kind", "reason"), REFUSALS)
async def test_a_refusal_forbids_what_the_visitor_left(
    queue: WholeQueue, kind: SuppressionKind, reason: DropReason
) -> None:
    """The visitor's data is removed, the order is dropped for the refusal's reason, and lifting restores nothing."""
    await leave(queue, left("anna", order(1)), left("bert", order(2)))
    await queue.suppress([ANNA], kind, NOON)
    await queue.lift([ANNA], [kind], NOON)
    (anna, bert) = await resting(queue)

    assert (anna.forbidden, bert.forbidden) == (reason, "")
    assert anna == forbid_sighting(left("anna", order(1)), reason)
    assert (anna.fbp, anna.fbc, anna.address, anna.user_agent, anna.person_digests, anna.id) == ("", "", "", "", (), "")
    assert [await joined(queue, order(number), number=number) for number in (1, 2)] == [reason, "bert"]


async def test_an_erasure_leaves_nothing(queue: WholeQueue) -> None:
    """Neither sightings of the erased person nor their keys are left; other people's stay."""
    await leave(queue, left("anna", order(1)), left("bert", order(2)), left("anna", order(3), name="Lead"))
    await queue.erase([ANNA], NOON)

    assert [each.fbp for each in await resting(queue)] == ["fb.1.1.bert"]
    assert await rows(queue, "sighting_slot") == 3
    assert await joined(queue, order(1)) == ""


async def test_a_refusal_of_very_many_orders_is_whole(queue: WholeQueue) -> None:
    """An opt-out forbids all sightings of a person before it returns, however many; an erasure removes all."""
    for start in range(0, 1000, 250):
        await leave(queue, *(left("anna", order(number), at=NOON + number) for number in range(start, start + 250)))
    await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON)
    found = await resting(queue)

    assert (len(found), {each.forbidden for each in found}) == (1000, {"opted_out"})
    await leave(queue, *(left("bert", order(number), at=NOON + number) for number in range(500)))
    await queue.erase([BERT], NOON + DAY_MS)
    assert await rows(queue) == 1000


@pytest.mark.parametrize(("kind", "reason"), REFUSALS)
async def test_whoever_is_suppressed_leaves_no_open_sighting(
    queue: WholeQueue, kind: SuppressionKind, reason: DropReason
) -> None:
    """Later sightings of a suppressed person are stored as forbidden.

    It suffices that an event of their request names the person.
    """
    await queue.suppress([ANNA, BERT], kind, NOON)
    await leave(queue, left("anna", order(1)))
    bert = left("bert", order(2), person_digests=())
    refused = record(1)._replace(name=bert.name, id=bert.id, person_digests=(BERT,))
    await queue.append([refused], sightings=[bert])

    assert [(each.forbidden, each.fbp, each.person_digests) for each in await resting(queue)] == [(reason, "", ())] * 2
    assert [await joined(queue, order(number), number=number) for number in (1, 2)] == [reason] * 2


async def test_what_the_erased_did_before_leaves_nothing(queue: WholeQueue) -> None:
    """A late sighting from before the erasure is not stored."""
    await queue.erase([ANNA], NOON)
    await leave(queue, left("anna", order(1)), left("anna", order(2), at=NOON + 1))

    assert [each.at for each in await resting(queue)] == [NOON + 1]


@pytest.mark.only_sqlite
async def test_an_opt_out_between_the_seal_and_the_commit_counts(queue: LocalQueue) -> None:
    """A sighting that was sealed before an opt-out and stored after it is forbidden."""
    store = queue._store
    group = store.group([Append([], 0, [left("anna", order(1))])])
    await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON)
    await queue._writer.do(lambda: store._appends.store(group))

    assert [each.forbidden for each in await resting(queue)] == ["opted_out"]


@pytest.mark.only_sqlite
async def test_an_opt_out_that_has_not_come_to_all_binds_the_rest(queue: LocalQueue) -> None:
    """If a crash leaves some sightings open, the suppression itself still counts at the join."""
    await leave(queue, left("anna", order(1)), left("bert", order(2)))
    suppressions = queue._store.tables.suppressions
    await queue._writer.do(lambda: suppressions.add([ANNA], SuppressionKind.OPT_OUT, NOON))
    await queue._writer.do(lambda: suppressions.add([BERT], SuppressionKind.ERASURE, NOON))

    assert [await joined(queue, order(number), number=number) for number in (1, 2)] == [DropReason.OPTED_OUT, ""]


async def test_what_rules_forbid_keeps_nothing_of_the_visitor(queue: WholeQueue) -> None:
    """Of a sighting that the rules forbid only keys and reason are stored."""
    sighting = left("anna", order(1), forbidden=DropReason.GPC)
    await leave(queue, sighting)

    assert await resting(queue) == [forbid_sighting(sighting, DropReason.GPC)]
    assert await joined(queue, order(1)) == DropReason.GPC


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        (["", "gpc"], DropReason.GPC),
        (["gpc", ""], "anna"),
        (["", "gpc", ""], "anna"),
        (["gpc", "", "opted_out"], DropReason.OPTED_OUT),
    ],
)
async def test_the_last_word_of_a_visitor_about_an_order_counts(
    queue: WholeQueue, words: Sequence[str], outcome: str
) -> None:
    """The latest of a visitor's refusals and grants about an order counts."""
    for number, word in enumerate(words):
        await leave(queue, left("anna", order(1), at=NOON + number, forbidden=word))

    assert await joined(queue, order(1)) == outcome


async def test_an_erased_event_is_found_by_the_visitor_that_the_join_found(queue: WholeQueue) -> None:
    """A server's event that was joined belongs to the visitor too, so the visitor's opt-out drops it."""
    await queue.append([told(order(1))], sightings=[left("anna", order(1))])
    segments = await queue.claim(PIXEL, most=10)
    await queue.release(segments)
    await queue.suppress([ANNA], SuppressionKind.OPT_OUT, NOON)

    assert await claimed(queue) == []
    assert queue.stats().withheld == {DropReason.OPTED_OUT: 1}
