"""How the bench of ``send`` counts arrivals, and the file that it sends."""

import random
from collections import Counter

import orjson
from counting_graph import CountingGraph, Tally
from kills import planned
from past_events import first_line, lines, lines_of

_NOW = 1_790_000_000


def test_equal_lines_are_those_that_are_said_to_be() -> None:
    """Two lines are equal exactly when one repeats the other, and such a line has no id at all."""
    found = list(lines(500, _NOW))
    by_content = {content: tuple(at for at, each in enumerate(found) if each == content) for content in found}

    assert sorted(by_content.values()) == sorted(lines_of(at, 500) for at in range(500) if first_line(at) == at)
    twins = [orjson.loads(content) for content, places in by_content.items() if len(places) > 1]
    assert len(twins) == 10
    assert not [event for event in twins if "event_id" in event or "order_id" in event["custom_data"]]


def test_events_are_as_large_and_as_varied_as_promised() -> None:
    """Events have 350 to 750 bytes, five sources, ages that Meta accepts, and ids of different kinds."""
    events = [orjson.loads(line) for line in lines(1000, _NOW)]
    sizes = [len(line) for line in lines(1000, _NOW)]

    assert 350 <= min(sizes) <= max(sizes) <= 750
    assert len(Counter(event["action_source"] for event in events)) == 5
    ages: dict[str, list[int]] = {source: [] for source in ("physical_store", "website")}
    for event in events:
        ages.get(event["action_source"], ages["website"]).append(_NOW - event["event_time"])
    assert 0 < max(ages["website"]) < 7 * 86_400 < max(ages["physical_store"]) < 62 * 86_400
    named = Counter(
        "event_id" if "event_id" in event else "order" if "order_id" in event["custom_data"] else "" for event in events
    )
    assert min(named[kind] for kind in ("event_id", "order", "")) >= 200


def test_a_line_is_lost_until_it_arrives() -> None:
    """A line that arrived is counted once; a line that did not is missing in the sum."""
    tally = Tally(10)
    for place in (1, 2, 3):
        tally.add(b"e-%d" % place, place)

    assert (tally.arrived, tally.other_ids, tally.again, tally.again_after_kill) == (3, 0, 0, 0)


def test_a_second_arrival_is_told_apart() -> None:
    """Second arrivals are counted apart: under another id, by the same run of the proxy, or by a later run."""
    tally = Tally(60)
    tally.add(b"a", 1)
    tally.add(b"b", 1)
    tally.add(b"a", 1)
    tally.life += 1
    tally.add(b"a", 1)
    tally.add(b"a", 1)

    assert (tally.arrived, tally.other_ids, tally.again, tally.again_after_kill) == (1, 1, 2, 1)


def test_equal_lines_have_an_id_each() -> None:
    """A repeated line arrives under two ids; a third id counts as another id for the same line."""
    tally = Tally(60)
    for identity in (b"line-x-1", b"line-x-2", b"line-x-1", b"line-x-3"):
        tally.add(identity, 50)

    assert (tally.arrived, tally.again, tally.other_ids) == (2, 1, 1)


def test_a_body_is_accounted_for() -> None:
    """The fake Graph finds id and line of each event of a request."""
    graph = CountingGraph(tally=Tally(10))
    events = [{"event_name": "Lead", "event_id": f"e-{at}", "custom_data": {"receipt": f"r-{at}"}} for at in range(3)]

    answer = graph.take("1001", orjson.dumps({"data": events}))

    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 200")
    assert (graph.tally.arrived, graph.taken(), graph.came.is_set()) == (3, 3, True)


def test_kills_lie_before_the_end() -> None:
    """The plan has as many kills as requested, in order, and none in the last tenth of the file."""
    plan = planned(2000, 3, 2, random.Random(1))  # noqa: S311 - nothing secret

    assert Counter(kill.whom for kill in plan) == {"send": 2, "both": 1, "proxy": 2}
    assert plan == sorted(plan)
    assert len({kill.at for kill in plan}) == 5
    assert plan[-1].at < 1800
