"""``suppressions``, with and without a running proxy: listing the suppressed people, and lifting a suppression."""

from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from commands_here import House, run
from machine import Machine, free_port
from servers import simulator
from support import SECRET, browser_headers, wire

from proxy.model.keys import person_key
from proxy.rules.identity.person import digests
from proxy.rules.identity.reference import make

EMAIL = "Anna.Planted@example.com"


async def _post(session: aiohttp.ClientSession, machine: Machine, body: dict[str, Any], cookie: str = "") -> str:
    """Send a body to the collect address with a visitor cookie; return the visitor cookie after the answer."""
    headers = browser_headers(Cookie=cookie, User_Agent="Mozilla/5.0 Firefox/130.0")
    address = f"{machine.public}/shop-tools/e"
    async with session.post(address, data=orjson.dumps(body), headers=headers) as answer:
        assert answer.status == 204
        return answer.headers.getall("Set-Cookie")[-1].partition(";")[0]


async def _opt_out(session: aiohttp.ClientSession, machine: Machine, cookie: str) -> str:
    """Opt out; return the visitor cookie afterwards."""
    headers = browser_headers(Cookie=cookie)
    address = f"{machine.public}/shop-tools/c"
    async with session.post(address, data=b'{"opted_out": true}', headers=headers) as answer:
        assert answer.status == 200
        return answer.headers.getall("Set-Cookie")[-1].partition(";")[0]


async def _reference(session: aiohttp.ClientSession, machine: Machine, cookie: str) -> str:
    """Return the reference that the opt-out page shows."""
    headers = {"Host": "t.shop.example", "Accept": "text/html", "Cookie": cookie}
    async with session.get(f"{machine.public}/shop-tools/c", headers=headers) as answer:
        return (await answer.text()).partition("<code>")[2].partition("</code>")[0]


@pytest.fixture(name="left", params=["beside a running proxy", "where none runs"])
async def _left(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Machine, str]]:
    """Store an opt-out, a withdrawal and an erasure; yield the reference of the visitor who opted out."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = House(tmp_path, graph)
        await machine.start()
        cookie = await _post(session, machine, wire({"name": "Lead", "id": "sent"}, fbp=""))
        reference = await _reference(session, machine, await _opt_out(session, machine, cookie))
        later_cookie = await _post(session, machine, wire(fbp="", consent="granted"))
        await _post(session, machine, wire(fbp="", consent="revoked"), later_cookie)
        assert (await run(machine, "erase", "--email", EMAIL))[0] == 0
        if request.param == "where none runs":
            await machine.end()
        yield machine, reference
        await machine.end()


async def _listed(machine: Machine, *options: str) -> list[dict[str, Any]]:
    code, lines = await run(machine, "suppressions", "list", "--json", *options)
    assert code == 0
    return [orjson.loads(line) for line in lines]


async def test_the_list_names_kinds_and_digests_only(left: tuple[Machine, str]) -> None:
    """Each suppression has a time, a kind and a digest that means nothing without the secret; newest first."""
    machine, _ = left
    found = await _listed(machine)
    code, (head, *rows) = await run(machine, "suppressions", "list")

    assert [entry["kind"] for entry in found] == ["erased", "withdrawn", "opted_out"]
    assert {frozenset(entry) for entry in found} == {frozenset({"at", "kind", "digest"})}
    assert found[0]["digest"] == _digest_of_anna().hex()
    assert (code, head.split(), [row.split()[-2] for row in rows]) == (
        0,
        ["at", "kind", "digest"],
        [entry["kind"] for entry in found],
    )
    assert [entry["kind"] for entry in await _listed(machine, "--kind", "withdrawn")] == ["withdrawn"]
    assert len(await _listed(machine, "--limit", "2")) == 2


def _digest_of_anna() -> bytes:
    return digests({"em": [sha256(EMAIL.lower().encode()).hexdigest()]}, [person_key(SECRET)])[0]


async def test_the_owner_lifts_by_digest_and_kind(left: tuple[Machine, str]) -> None:
    """A listed suppression can be lifted, only that of the named kind; lifting it again counts 0."""
    machine, _ = left
    (wanted,) = [entry["digest"] for entry in await _listed(machine, "--kind", "opted_out")]

    lift = ("suppressions", "lift", "--yes", wanted)
    assert await run(machine, *lift, "--kind", "withdrawn") == (0, ["0 suppressions lifted"])
    assert await run(machine, *lift) == (0, ["1 suppressions lifted"])
    assert await run(machine, *lift) == (0, ["0 suppressions lifted"])
    assert [entry["kind"] for entry in await _listed(machine)] == ["erased", "withdrawn"]


async def test_the_owner_lifts_by_the_person(left: tuple[Machine, str]) -> None:
    """A suppression is lifted by an e-mail address, or by the opt-out page's reference, however it was copied."""
    machine, reference = left
    spaced = f" {reference[:30].upper()}\n{reference[30:]} "

    assert await run(machine, "suppressions", "lift", "--yes", "--email", EMAIL.upper()) == (
        0,
        ["1 suppressions lifted"],
    )
    assert await run(machine, "suppressions", "lift", "--yes", "--visitor", spaced) == (0, ["1 suppressions lifted"])
    assert [entry["kind"] for entry in await _listed(machine)] == ["withdrawn"]


async def test_a_visitor_is_erased_by_the_reference(tmp_path: Path) -> None:
    """The reference on the opt-out page finds the waiting events of that browser, and of no other."""
    async with simulator() as graph, aiohttp.ClientSession() as session:
        machine = House(tmp_path, graph)
        await machine.start()
        async with session.post(f"{graph}/sim/faults", json={"mode": "190"}) as answer:
            assert answer.status == 200
        cookies = [await _post(session, machine, wire({"name": "Lead", "id": f"{n}"}, fbp="")) for n in range(2)]
        reference = await _reference(session, machine, cookies[0])
        await machine.end()

        told = [(await run(machine, "erase", "--visitor", reference))[1][0] for _ in range(2)]

    assert told == [f"{n} waiting events and 0 dead letters removed" for n in (1, 0)]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["lift", "--yes"], 2),
        (["lift", "--yes", "ABCD"], 2),
        (["lift", "--yes", "--visitor", "planted"], 2),
        (["lift", "--yes", "--email", "planted"], 2),
        (["lift", "--yes", "--kind", "planted", "0" * 32], 2),
        (["list", "--kind", "planted"], 2),
        (["list", "--limit", "0"], 2),
        # A well-formed reference that another installation made.
        (["lift", "--yes", "--visitor", make(b"d" * 16, b"k" * 32, 1)], 1),
    ],
)
async def test_a_wrong_value_lifts_nobody(machine: Machine, arguments: Sequence[str], code: int) -> None:
    """Wrong usage ends with exit code 2, another installation's reference with 1; suppressions stay."""
    assert await run(machine, "suppressions", *arguments) == (code, [])
    assert len(await _listed(machine)) == 1


@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("GET", "suppressions?limit=0", b""),
        ("GET", "suppressions?limit=1001", b""),
        ("GET", "suppressions?kind=planted", b""),
        ("POST", "suppressions/lift", b"{"),
        ("POST", "suppressions/lift", b"[]"),
        ("POST", "suppressions/lift", b"{}"),
        ("POST", "suppressions/lift", b'{"digest": ["planted-12"]}'),
        ("POST", "suppressions/lift", b'{"digest": [7]}'),
        ("POST", "suppressions/lift", b'{"digest": {"a": 1}}'),
        ("POST", "suppressions/lift", b'{"visitor": "planted-12"}'),
        ("POST", "suppressions/lift", b'{"visitor": null}'),
        ("POST", "suppressions/lift", b'{"em": ["planted-12"]}'),
        ("POST", "suppressions/lift", b'{"digest": ["%s"], "kind": "planted"}' % (b"0" * 32)),
        ("POST", "suppressions/lift", b'{"digest": ["%s"], "kind": ["planted"]}' % (b"0" * 32)),
    ],
)
async def test_the_operator_says_what_it_accepts(machine: Machine, method: str, address: str, body: bytes) -> None:
    """A request that names no person is a 400, which says what is accepted and repeats nothing of the request."""
    headers = {"Content-Type": "application/json"} if method == "POST" else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{machine.operator}/api/{address}", data=body, headers=headers) as answer,
    ):
        text = await answer.text()

    assert answer.status == 400
    assert "accepted: " in text
    assert "planted-12" not in text


@pytest.fixture(name="machine", scope="module")
async def _machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    machine = House(tmp_path_factory.mktemp("machine"), f"http://127.0.0.1:{free_port()}")
    await machine.start()
    assert (await run(machine, "erase", "--email", EMAIL))[0] == 0
    yield machine
    await machine.end()
