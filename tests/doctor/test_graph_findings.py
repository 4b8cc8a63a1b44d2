"""The doctor's findings about Graph, and the test event that it sends there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from machine import TOKEN, free_port
from servers import served, simulator
from support import get_json, raw_config

from proxy.config import load
from proxy.config.load import Config
from proxy.delivery.client import GraphClient
from proxy.doctor import Finding, ends, graph
from proxy.graph.token_health import TokenHealth
from proxy.installation import now_ms
from proxy.telemetry.conditions import Conditions


def config(url: str, **pixel: Any) -> Config:
    raw = raw_config(url, Path("/nowhere"), pixel=[{"id": "1234567890", "access_token": TOKEN, **pixel}])
    return load.parse(raw, {}, base=Path())


@asynccontextmanager
async def clock(seconds: float | None) -> AsyncIterator[str]:
    """Serve a Graph whose clock is ``seconds`` off; None: its answers have no time."""

    async def answer(_request: web.Request) -> web.Response:
        date_header = "" if seconds is None else format_datetime(datetime.now(UTC) + timedelta(seconds=seconds))
        return web.Response(status=400, headers={"Date": date_header})

    app = web.Application()
    app.router.add_get("/", answer)
    async with served(app) as url:
        yield url


@pytest.mark.parametrize(
    ("seconds", "codes", "words"),
    [
        (0, [], ""),
        (-50, [], ""),
        (90, ["clock_off"], "behind Meta's"),
        (-90, ["clock_off"], "ahead of Meta's"),
        (None, ["graph_unseen"], "without a Date"),
    ],
)
async def test_a_clock_that_differs_is_told(seconds: float | None, codes: list[str], words: str) -> None:
    """A clock that is off by more than a minute, in either direction, fails the check."""
    async with clock(seconds) as url:
        found = [finding async for finding in graph.findings(config(url).settings)]

    assert [finding.code for finding in found] == codes
    assert all(words in finding.seen for finding in found)


async def test_a_graph_that_cannot_be_reached_is_no_pass() -> None:
    """If Graph cannot be reached, its clock is unknown, and the check says so."""
    settings = config(f"http://127.0.0.1:{free_port()}").settings
    (finding,) = [finding async for finding in graph.findings(settings)]

    assert (finding.code, finding.failing) == ("graph_unseen", False)


async def sent(url: str, **pixel: Any) -> list[Finding]:
    return [finding async for finding in graph.send_tests(config(url, **pixel))]


@pytest.mark.parametrize(
    ("pixel", "is_own"),
    [
        ({}, False),
        ({"test_event_code": "TEST777"}, True),
        ({"test_event_code": "TEST777", "test_event_until": date(2020, 1, 1)}, False),
    ],
)
async def test_a_test_event_needs_no_code(pixel: dict[str, Any], is_own: bool) -> None:  # noqa: FBT001
    """A pixel's valid test code is used, else a random one for this event; the event's name is the doctor's own."""
    async with simulator() as url, aiohttp.ClientSession() as session:
        (finding,) = await sent(url, **pixel)
        (event,) = (await get_json(session, f"{url}/sim/events"))["events"]

    assert finding.code == "test_event_taken"
    assert event["event"]["event_name"] == graph.TEST_EVENT
    assert ("TEST777" in finding.seen) is is_own
    assert "the test code TEST" in finding.seen


async def test_two_test_events_have_different_codes() -> None:
    """A random code is used for one event only."""
    async with simulator() as url:
        seen = {(await sent(url))[0].seen.partition("test code ")[2].split(" ")[0] for _ in range(4)}

    assert len(seen) > 1


async def test_a_refused_test_event_has_metas_words() -> None:
    """A token that is not valid for the pixel fails the check, with Meta's message; no token is shown."""
    async with simulator(expected={190}) as url:
        (finding,) = await sent(url, access_token="stale-token")

    assert (finding.code, finding.failing) == ("test_event_refused", True)
    assert "OAuth" in finding.seen
    assert "stale-token" not in str(finding)


async def test_a_test_event_without_an_answer_is_no_pass() -> None:
    """If Graph is unreachable, the fate of the test event is unknown, and the check says so."""
    (finding,) = await sent(f"http://127.0.0.1:{free_port()}")

    assert (finding.code, finding.failing) == ("test_event_unsent", False)


NOW = 1_790_000_000_000  # 2026-09-21
DAY = 86_400_000


@pytest.mark.parametrize(
    ("version", "codes"),
    [
        ("v26.0", []),
        ("v25.0", []),
        ("v20.0", ["version_ends_soon"]),
        ("v19.0", ["version_over"]),
        ("v12.0", ["version_over"]),
        ("v99.0", ["version_unknown"]),
    ],
)
def test_how_long_a_version_lives_is_told(version: str, codes: list[str]) -> None:
    """A version's end, by Meta's own table, is past, within 90 days, unknown, or too far to mention."""
    assert [finding.code for finding in ends.version_findings(version, NOW)] == codes


@pytest.mark.parametrize(
    ("health", "codes"),
    [
        (TokenHealth(NOW, is_valid=True), []),
        (TokenHealth(NOW, is_valid=True, expires_at=NOW + 60 * DAY), []),
        (TokenHealth(NOW, is_valid=True, expires_at=NOW + 5 * DAY), ["token_ends_soon"]),
        (TokenHealth(NOW, is_valid=True, data_access_expires_at=NOW + 5 * DAY), ["token_ends_soon"]),
        (TokenHealth(NOW, is_valid=True, expires_at=NOW - 5 * DAY), ["token_refused"]),
        (TokenHealth(NOW, is_valid=True, scopes=("ads_read", "ads_management")), []),
        (TokenHealth(NOW, is_valid=True, scopes=("business_management",)), []),
        (TokenHealth(NOW, is_valid=True, scopes=("ads_read", "email")), ["token_scopes"]),
        (TokenHealth(NOW, is_valid=True, scopes=("email",), expires_at=NOW + DAY), ["token_scopes", "token_ends_soon"]),
        (TokenHealth(NOW, is_valid=False, scopes=("email",), error="code 190: over"), ["token_refused"]),
        (TokenHealth(NOW, is_valid=False, error="code 190: session has expired"), ["token_refused"]),
        (TokenHealth(NOW, error="code 190: Invalid OAuth access token"), ["token_refused"]),
        (TokenHealth(NOW, error="code 100: must be an app"), ["token_unseen"]),
        (TokenHealth(NOW, error="timeout"), ["token_unseen"]),
        (TokenHealth(NOW), ["token_unseen"]),
    ],
)
def test_how_a_token_stands_is_told(health: TokenHealth, codes: list[str]) -> None:
    """A token is refused, near its end, without a scope that allows writing, unknown, or sound."""
    assert [finding.code for finding in ends.token_health_findings("1", health, NOW)] == codes


async def test_each_token_is_asked_for_once() -> None:
    """A pixel of several sites is asked about once, and no token is shown."""
    asked: list[str] = []

    async def debug(request: web.Request) -> web.Response:
        asked.append(request.query["input_token"])
        return web.json_response({"data": {"is_valid": False, "error": {"code": 190, "message": f"{TOKEN} is over"}}})

    app = web.Application()
    app.router.add_get("/v26.0/debug_token", debug)
    async with served(app) as url, aiohttp.ClientSession() as session:
        settings = config(url).settings
        twice = settings.model_copy(update={"site": (*settings.site, *settings.site)})
        client = GraphClient(session, settings.graph, now_ms, Conditions(now_ms))
        found = [finding async for finding in graph.token_findings(client, twice)]

    assert ([finding.code for finding in found], len(asked)) == (["token_refused"], 1)
    assert TOKEN not in str(found)
