"""The effect of one answer of Graph, the diagnosis of a pixel at fault, and the events that are suspected first."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import PIXEL, record, server_record

from proxy.delivery.attempt import Attempt, attempt
from proxy.delivery.diagnosis import RefusalStreak, diagnose, probe
from proxy.delivery.refused_networks import RefusedNetworks
from proxy.graph import payload
from proxy.model.event import BrowserCopy, Event
from proxy.model.record import Record
from proxy.model.server_request import RequestFields
from proxy.model.verdict import Dead, Delivered, GraphError, Pause, Retry, Split, Verdict

CONTENT = GraphError(100, 2804017, "bad event")
GENERAL = GraphError(100, None, "bad pixel")


class FakeGraph:
    """Refuses a batch that holds a bad event, as Graph does; counts the requests."""

    def __init__(self, bad: Callable[[Record], GraphError | None]) -> None:
        self._bad = bad
        self.requests = 0

    async def __call__(self, records: Sequence[Record]) -> Verdict:
        self.requests += 1
        graph_error = next((graph_error for record in records if (graph_error := self._bad(record))), None)
        if graph_error is None:
            return Delivered(len(records), len(records))
        return Split(graph_error) if len(records) > 1 else Dead("rejected", graph_error)


def number_of(record: Record) -> int:
    return int(record.id.removeprefix("id-"))


def records(count: int) -> list[Record]:
    return [record(number) for number in range(count)]


def sizes(result: Attempt) -> tuple[int, int, int, int]:
    return len(result.delivered), len(result.dead), len(result.suspects), len(result.undecided)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Delivered(8, 8), (8, 0, 0, 0)),
        (Split(CONTENT), (0, 0, 8, 0)),
        (Retry("down"), (0, 0, 0, 8)),
        (Pause("token"), (0, 0, 0, 8)),
    ],
)
async def test_one_answer_decides_a_batch(answer: Verdict, expected: tuple[int, int, int, int]) -> None:
    """A batch is delivered, suspected or left undecided as a whole, and only a pause or a retry halts the lane."""

    async def send(_records: Sequence[Record]) -> Verdict:
        return answer

    result = await attempt(records(8), send, RefusedNetworks())

    assert sizes(result) == expected
    assert result.halt == (answer if isinstance(answer, Pause | Retry) else None)


@given(st.integers(2, 1000))
def test_half_of_a_refused_batch_rides_together(count: int) -> None:
    """The next batch size is a power of two, at least half of the refused batch, and less than all of it."""
    batch = records(count)
    (bound,) = {bound for _, bound in RefusedNetworks().bounds(batch)}

    assert count / 2 <= bound < count
    assert bound & (bound - 1) == 0


def at(address: str, number: int = 0) -> Record:
    """Return an event from an address; its custom data and visitor are under a stranger's control."""
    return payload.record(
        Event(
            pixel=PIXEL,
            name="Lead",
            id=f"id-{number}",
            time_s=record(1).time_s,
            url="",
            referrer="",
            user_data={"client_ip_address": address, "client_user_agent": "agent"},
            custom_data={"client_ip_address": f"192.0.2.{number % 250}"},
            options=None,
            visitor=number.to_bytes(4, "big"),
            browser_copy=BrowserCopy.PENDING,
        )
    )


@pytest.mark.parametrize(
    ("stranger", "visitor", "suspected"),
    [
        ("203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.8", False),
        ("2001:db8:1:2:3::4", "2001:db8:1:2:9::9", True),
        ("2001:db8:1:2:3::4", "2001:db8:1:3:3::4", False),
    ],
)
def test_a_stranger_is_known_by_its_network(stranger: str, visitor: str, *, suspected: bool) -> None:
    """Events from the IPv4 address or IPv6 /64 of a refused event are suspected first, and no others."""
    networks = RefusedNetworks()
    networks.add(at(stranger))
    honest = [at(f"198.51.100.{number}", number) for number in range(20)]
    bounds = [bound for _, bound in networks.bounds([at(visitor, 99), *honest])]

    assert bounds == ([-1, *[32] * 20] if suspected else [16] * 21)


def test_a_batch_of_a_refused_network_alone_is_searched_a_few_at_a_time() -> None:
    """A refused network's events are searched in small batches, after those of all other networks."""
    networks = RefusedNetworks()
    batch = [at("203.0.113.9", number) for number in range(100)]
    networks.add(batch[0])

    assert {bound for _, bound in networks.bounds(batch)} == {-8}


def test_refused_networks_are_bounded() -> None:
    """The latest thousand networks of refused events are remembered."""
    networks = RefusedNetworks()
    for number in range(3000):
        networks.add(at(f"10.{number // 250}.{number % 250}.1"))

    assert len(networks._networks) == 1000


async def test_a_sick_pixel_pauses_and_buries_nothing() -> None:
    """If 16 events, spread over the batch, fail alone with one general code, the pixel pauses and keeps all events."""
    graph = FakeGraph(lambda _: GENERAL)
    result = await diagnose(records(1000), graph)

    assert (sizes(result), result.halt) == ((0, 0, 0, 1000), Pause("systemic", GENERAL))
    assert graph.requests == 16


@pytest.mark.parametrize(("count", "halted"), [(7, False), (8, True), (9, True), (16, True)])
async def test_eight_events_are_the_least_that_speak_for_a_pixel(count: int, *, halted: bool) -> None:
    """Fewer than eight events that all fail alike become dead letters; eight or more pause the pixel."""
    result = await diagnose(records(count), FakeGraph(lambda _: GENERAL))

    assert (result.halt is not None, len(result.dead)) == (halted, 0 if halted else count)


async def test_bad_neighbours_are_not_a_sick_pixel() -> None:
    """Ten bad events in a row with a general code become dead letters, if another event is delivered."""
    graph = FakeGraph(lambda record: GENERAL if number_of(record) < 10 else None)
    result = await diagnose(records(1000), graph)

    assert (result.halt, sizes(result)) == (None, (1, 1, 0, 998))


@pytest.mark.parametrize(
    "bad",
    [lambda _: CONTENT, lambda record: [GENERAL, GraphError(100, 34, "another")][number_of(record) // 2 % 2]],
    ids=["content", "different codes"],
)
async def test_bad_content_and_different_faults_never_pause(bad: Callable[[Record], GraphError]) -> None:
    """A subcode about an event's content, or different codes, show that events are at fault."""
    result = await diagnose(records(41), FakeGraph(bad))

    assert result.halt is None
    assert result.dead


@pytest.mark.parametrize("halt", [Retry("down"), Pause("token")])
async def test_a_fault_on_the_way_keeps_what_is_undecided(halt: Retry | Pause) -> None:
    """If Graph fails in the middle of a diagnosis, no event is given up."""
    answers = iter([Dead("rejected", GENERAL), Dead("rejected", GENERAL), halt])

    async def send(_records: Sequence[Record]) -> Verdict:
        return next(answers)

    result = await diagnose(records(12), send)

    assert (sizes(result), result.halt) == ((0, 0, 0, 12), halt)


@pytest.mark.parametrize("count", [1, 3, 8])
async def test_a_probe_of_a_sick_pixel_buries_nothing(count: int) -> None:
    """While a pixel refuses every event alike, even a few remaining events are kept."""
    result = await probe(records(count), FakeGraph(lambda _: GENERAL), RefusedNetworks())

    assert (sizes(result), result.halt) == ((0, 0, 0, count), Pause("systemic", GENERAL))


async def test_a_diagnosis_needs_refusals_in_a_row_with_one_general_code() -> None:
    """A delivery, a refusal of content or another code restarts the count; an answer that is no refusal does not."""
    another_code = GraphError(100, 34, "another")
    streak = RefusalStreak()
    harmless: list[Verdict] = [*[Split(GENERAL)] * 3, Delivered(1, 1), *[Dead("rejected", GENERAL)] * 3]
    for verdict in [*harmless, Split(CONTENT), Split(another_code)]:
        streak.add(verdict)
        assert not streak.calls_for_diagnosis
    refusals_in_a_row: list[Verdict] = [
        Split(another_code),
        Retry("down"),
        Dead("rejected", another_code),
        Split(another_code),
    ]
    for verdict in refusals_in_a_row:
        streak.add(verdict)
    assert streak.calls_for_diagnosis


@pytest.mark.parametrize(
    ("fields", "is_paused"),
    [
        (RequestFields(), True),
        (RequestFields(partner_agent="shop-7", test_event_code="TEST1"), True),
        (RequestFields(upload_id="up-1"), False),
        (RequestFields(namespace_id="name-1"), False),
    ],
)
async def test_a_refused_upload_pauses_no_pixel(fields: RequestFields, *, is_paused: bool) -> None:
    """If Graph refuses all events with an upload alike, they become dead letters and the pixel goes on.

    The upload may be at fault instead of the pixel.
    """
    uploaded = [server_record(number, fields) for number in range(12)]
    result = await diagnose(uploaded, FakeGraph(lambda _: GENERAL))
    mixed = await diagnose([*uploaded, *records(12)], FakeGraph(lambda _: GENERAL))

    assert (result.halt is not None, len(result.dead)) == (is_paused, 0 if is_paused else 12)
    assert mixed.halt is not None
    assert not mixed.dead
