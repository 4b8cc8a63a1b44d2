"""A data directory of an older version is opened, and everything in it is still valid."""

import tarfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from servers import served
from support import browser_headers, get_json, raw_config, until, wire

from proxy.app import run_proxy
from proxy.config import load
from proxy.simulator.graph.app import make_app

WRITTEN = Path(__file__).with_name("upgrade")
SECRET = "a secret of this test, and of no installation"
UP, DOWN = "1111111111", "2222222222"
CASES = [(layout, end) for layout in (2, 5, 6, 7, 8) for end in ("orderly", "killed")]


@dataclass
class Upgraded:
    """A proxy of this version on an older version's directory, and the facts that the older one recorded at its end."""

    facts: dict[str, Any]
    session: aiohttp.ClientSession
    graph: str
    public: str
    operator: str

    async def post(self, who: str, identity: str) -> int:
        """Send a Contact with the cookies that the old version gave a visitor."""
        sent = wire({"name": "Contact", "id": identity, "pixels": [UP], "pixel": "fired"}, consent="granted", fbp=None)
        headers = browser_headers(Cookie=self.facts["cookies"][who])
        async with self.session.post(
            f"{self.public}{self.facts['prefix']}/e", data=orjson.dumps(sent), headers=headers
        ) as answer:
            return answer.status

    async def arrived(self, *ids: str) -> dict[str, Any]:
        """Wait for these events at the simulator; return all events there, by id."""

        async def all_there() -> dict[str, Any] | None:
            listed = (await get_json(self.session, f"{self.graph}/sim/events"))["events"]
            found = {event["id"]: event for event in listed}
            return found if found.keys() >= set(ids) else None

        found: dict[str, Any] = await until(all_there, what=f"{ids} at the simulator")
        return found

    async def asked(self, path: str) -> dict[str, Any]:
        return await get_json(self.session, f"{self.operator}{path}")


@pytest.fixture(name="upgraded", params=CASES, ids=lambda case: f"layout {case[0]}, {case[1]}")
async def _upgraded(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Upgraded]:
    layout, end = request.param
    with tarfile.open(WRITTEN / f"layout-{layout}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    facts = orjson.loads((tmp_path / "facts.json").read_bytes())
    # A minute after the end of the old version: waiting events are not too old, and the ledger's day is not over.
    real, real_ns = time.time, time.time_ns
    back = facts["at"] / 1000 + 60 - real()
    monkeypatch.setattr(time, "time", lambda: real() + back)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(back * 1e9))
    jar = aiohttp.DummyCookieJar()
    async with served(make_app(now=time.time)) as graph, aiohttp.ClientSession(cookie_jar=jar) as session:
        raw = raw_config(graph, tmp_path / end, bots="ignore")
        raw["server"]["secret"] = SECRET
        del raw["site"][0]["prefix"]
        raw["site"][0]["pixel"] = [{"id": pixel, "access_token": f"token-{pixel}"} for pixel in (UP, DOWN)]
        async with run_proxy(load.parse(raw, {}, base=tmp_path)) as proxy:
            addresses = (f"http://{listener.host}:{listener.port}" for listener in (proxy.public, proxy.operator))
            yield Upgraded(facts, session, graph, *addresses)


async def test_what_an_older_version_left_counts_as_before(upgraded: Upgraded) -> None:
    """Waiting events are delivered, rows and letters listed; cookies, prefix, duplicates and opt-outs stay valid."""
    facts = upgraded.facts
    rows = (await upgraded.asked("/api/events"))["events"]
    letters = (await upgraded.asked("/api/dead"))["dead"]
    suppressions = (await upgraded.asked("/api/suppressions"))["suppressions"]
    statuses = [await upgraded.post(who, f"{who}-again") for who in ("anna", "bert")]
    statuses.append(await upgraded.post("anna", "waiting-0"))
    found = await upgraded.arrived(*(f"waiting-{number}" for number in range(5)), "anna-again")

    async def ended() -> dict[str, Any] | None:
        newest = {row["id"]: row for row in (await upgraded.asked("/api/events?since=0"))["events"]}
        return newest if newest.keys() >= {"bert-again", "waiting-4", "anna-again"} else None

    newest = await until(ended, what="rows of what ended now")
    known = {identity for _, _, identity, *_ in facts["events"]}
    old = [row for row in rows if row["id"] in known]

    keys = ("pixel", "name", "id", "status", "reason", "time_s")
    assert [[row[key] for key in keys] for row in old] == facts["events"]
    keys = ("name", "event_id", "reason", "code", "subcode", "message")
    assert [[letter[key] for key in keys] for letter in letters] == facts["dead"]
    assert {suppression["kind"] for suppression in suppressions} == {"opted_out"}
    assert {(row["action_source"], bool(row["browser_copy"])) for row in (*old, *newest.values())} == {
        ("website", True)
    }
    assert statuses == [204] * 3
    assert found["anna-again"]["event"]["user_data"]["external_id"] == facts["external_id"]
    assert {found[f"waiting-{number}"]["event"]["user_data"]["external_id"][0] for number in range(5)} == set(
        facts["external_id"]
    )
    assert (newest["bert-again"]["status"], newest["bert-again"]["reason"]) == ("dropped", "opted_out")
    assert all(row["number"] for row in newest.values())


async def test_a_dead_letter_of_an_older_version_is_replayed(upgraded: Upgraded) -> None:
    """A replayed letter of an older version is delivered with its id."""
    (letter,) = (await upgraded.asked("/api/dead"))["dead"]
    async with upgraded.session.post(f"{upgraded.operator}/api/dead/replay", json={"ids": [letter["id"]]}) as answer:
        replayed = await answer.json()
    found = await upgraded.arrived("poison-1")

    assert replayed["replayed"] == 1
    assert found["poison-1"]["name"] == "Lead"
