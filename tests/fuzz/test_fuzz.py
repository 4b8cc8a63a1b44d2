"""Random requests of strangers are answered correctly: a small part of ``make fuzz``, and everything it ever found."""

from pathlib import Path

import pytest
from hard import BURSTS
from maker import Bytes, Chance
from target import Door, burst, drawn, packed, unpacked

from proxy.edge.collect import tag_answer
from proxy.rules import limits

COUNT = 3000
SEEDS = sorted((Path(__file__).parent / "seeds").glob("*.json"))


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


def test_no_made_up_request_leads_to_an_error(door: Door) -> None:
    """Thousands of odd bodies and headers cause no exception, no fault of ours and no 5xx."""
    wrong = {number: found for number in range(COUNT) if (found := door.wrong(drawn(Chance(number))))}

    assert wrong == {}


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)
def test_what_was_found_once_is_mended(door: Door, seed: Path) -> None:
    """Each request that was once answered wrongly, or took too long, is answered correctly."""
    assert door.wrong(unpacked(seed.read_bytes())) == ""


@pytest.mark.parametrize("kind", BURSTS)
def test_a_burst_of_dear_events_is_taken(door: Door, kind: str) -> None:
    """As many events as a body may have, with different odd custom data for two pixels, are all stored."""
    request = burst(kind)
    outcome = door.answer(request)

    assert door.wrong(request) == ""
    assert len(request.facts.body) <= limits.BODY
    assert (len(outcome.records), outcome.refused) == (limits.ROWS, 0)


def test_the_requests_are_worth_sending(door: Door) -> None:
    """The random requests cover accepted, refused and dropped events, and most reach the rules."""
    outcomes = [door.answer(drawn(Chance(number))) for number in range(600)]

    assert {tag_answer(outcome).status for outcome in outcomes} >= {200, 204, 400}
    assert sum(len(outcome.records) > 0 for outcome in outcomes) > 150
    assert len({row.reason for outcome in outcomes for row in outcome.dropped}) >= 8
    assert sum(len(outcome.redactions) > 0 for outcome in outcomes) > 50


def test_a_seed_is_the_request() -> None:
    """A request that is written as a seed is read as the same request."""
    for request in (drawn(Chance(1)), drawn(Bytes(bytes(range(256)) * 20))):
        assert unpacked(packed(request)) == request
