"""``erase``, with and without a running proxy: what is stored about a person is deleted and stays away."""

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from commands_here import House, invoke_beside, run
from machine import Machine, free_port
from servers import simulator
from support import PIXEL, SECRET, browser_headers, get_json, until, wire

EMAIL, PHONE, CUSTOMER = "Anna.Planted@example.com", "+49 30 1234567", "Customer 7"
ANNA = {"em": EMAIL, "ph": PHONE, "external_id": CUSTOMER}
BERT = {"em": "bert@example.com"}


async def send(session: aiohttp.ClientSession, machine: Machine, identity: str, match: dict[str, str]) -> None:
    number = sum(identity.encode())
    body = wire({"name": "Lead", "id": identity}, fbp=f"fb.1.1700000000000.{number}", match={PIXEL: match})
    address = f"{machine.public}/shop-tools/e"
    async with session.post(address, data=orjson.dumps(body), headers=browser_headers()) as answer:
        assert answer.status == 204


async def rows(session: aiohttp.ClientSession, machine: Machine, identity: str) -> list[tuple[str, str]]:
    async def ended() -> list[tuple[str, str]]:
        found = await get_json(session, f"{machine.operator}/api/events?id={identity}")
        return [(row["status"], row["reason"]) for row in found["events"]]

    found: list[tuple[str, str]] = await until(ended, what=f"the end of {identity}")
    return found


async def _leave_traces(session: aiohttp.ClientSession, machine: Machine, graph: str) -> None:
    """Make dead letters of two people, then events of both that wait for an unreachable Graph."""
    async with session.post(f"{graph}/sim/faults", json={"mode": "poison", "match": "dead-"}) as answer:
        assert answer.status == 200, await answer.text()
    for identity, match in {"dead-anna": ANNA, "dead-bert": BERT}.items():
        await send(session, machine, identity, match)
        assert (await rows(session, machine, identity))[0][0] == "dead"
    async with session.post(f"{graph}/sim/faults", json={"mode": "190"}) as answer:
        assert answer.status == 200, await answer.text()
    for identity, match in {"waits-anna": ANNA, "waits-bert": BERT, "waits-anna-2": {"em": EMAIL}}.items():
        await send(session, machine, identity, match)

    async def paused() -> bool:
        status = await get_json(session, f"{machine.operator}/api/status")
        return bool(status["lanes"][0]["paused"])

    await until(paused, what="a pause")


@pytest.fixture(name="machine", params=["beside a running proxy", "where none runs"])
async def _machine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Machine]:
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = House(tmp_path, graph)
        await machine.start()
        await _leave_traces(session, machine, graph)
        if request.param == "where none runs":
            await machine.end()
        yield machine
        await machine.end()


async def _left(machine: Machine) -> list[dict[str, Any]]:
    _, lines = await run(machine, "dead", "list", "--json")
    return [orjson.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("options", "waiting", "dead"),
    [
        (["--email", " anna.planted@EXAMPLE.com "], 2, 1),
        (["--phone", "0049 (30) 1234567"], 1, 1),
        (["--external-id", "customer7", "--email", "nobody@example.com"], 1, 1),
        (["--email", "nobody@example.com"], 0, 0),
    ],
    ids=["email", "phone", "id", "nobody"],
)
async def test_what_is_kept_of_a_person_goes(machine: Machine, options: Sequence[str], waiting: int, dead: int) -> None:
    """However the owner writes a person's data, that person's waiting events and dead letters go, and others' stay."""
    assert await run(machine, "erase", *options) == (
        0,
        [
            f"{waiting} waiting events and {dead} dead letters removed",
            "events that happened before now are refused for 7 days",
        ],
    )
    assert {letter["event_id"] for letter in await _left(machine)} == {"dead-bert", "dead-anna"} - (
        {"dead-anna"} if dead else set()
    )


async def test_older_events_of_an_erased_person_are_refused(tmp_path: Path) -> None:
    """After an erasure without a running proxy, an older event that comes later is refused, and a newer one sent."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = House(tmp_path, graph)
        await machine.start()
        await machine.end()
        assert (await run(machine, "erase", "--email", EMAIL))[0] == 0
        await machine.start()
        now = int(wire()["sent"])
        body = wire({"name": "Lead", "id": "late", "at": now - 3_600_000}, sent=now, match={PIXEL: ANNA})
        address = f"{machine.public}/shop-tools/e"
        async with session.post(address, data=orjson.dumps(body), headers=browser_headers()) as answer:
            assert answer.status == 204
        await until(lambda: _next_second(now), what="the second after the erasure")
        await send(session, machine, "new", ANNA)

        assert await rows(session, machine, "late") == [("dropped", "erased")]
        assert await rows(session, machine, "new") == [("delivered", "")]
        await machine.end()


async def _next_second(now: int) -> bool:
    return int(wire()["sent"]) // 1000 > now // 1000


@pytest.mark.parametrize(
    ("options", "named"),
    [([], "--visitor"), (["--email", "planted"], "--email"), (["--phone", "planted-12"], "--phone")],
)
async def test_nobody_is_erased_by_nothing(tmp_path: Path, options: Sequence[str], named: str) -> None:
    """Without a usable value the command ends with exit code 2 and names the option, not the value."""
    machine = House(tmp_path, f"http://127.0.0.1:{free_port()}")
    done = await invoke_beside("erase", *options, "--config", str(machine.config))

    assert (done.exit_code, done.stdout) == (2, "")
    assert named in done.stderr
    assert "planted" not in done.stderr


async def test_the_operator_wants_hashes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A body without hashes is a 400 that repeats nothing of it; hashes are accepted."""
    caplog.set_level(logging.INFO)
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = House(tmp_path, graph)
        await machine.start()
        answers = {}
        for body in (b"{", b"[]", b"{}", b'{"em": ["planted"]}', orjson.dumps({"em": ["a" * 64]})):
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{machine.operator}/api/erase", data=body, headers=headers) as answer:
                answers[body] = answer.status, await answer.read()
        await machine.end()

    assert [status for status, _ in answers.values()] == [400, 400, 400, 400, 200]
    assert b"planted" not in b"".join(body for _, body in answers.values())
    assert SECRET not in caplog.text
