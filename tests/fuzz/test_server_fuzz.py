"""Damaged bodies of servers cause no fault of ours, and nothing is sent that Graph would refuse."""

import orjson
import pytest
from maker import NOW, Chance
from server_target import ServerDoor, damaged, golden_bodies

from proxy.simulator.graph.rules import event_refusal

COUNT = 3000


@pytest.fixture(scope="module")
def door() -> ServerDoor:
    return ServerDoor()


def test_no_damaged_body_leads_to_an_error(door: ServerDoor) -> None:
    """Each body is unreadable, refused, dropped, or sent in a form that the simulator of Graph accepts."""
    bodies, outcomes = golden_bodies(), set()
    for number in range(COUNT):
        body, site, is_graph = damaged(bodies, Chance(number))
        answer = door.answer(body, site, is_graph=is_graph)
        assert answer.decision.faults == (), number
        assert answer.unreadable or answer.received, number
        for record in answer.decision.records:
            assert event_refusal(orjson.loads(record.whole), NOW / 1000) is None, number
        outcomes.add((bool(answer.unreadable), bool(answer.refused), bool(answer.decision.records)))

    assert outcomes >= {(True, False, False), (False, True, False), (False, False, True), (False, True, True)}
