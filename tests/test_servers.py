"""The tests' servers fail a test for unexpected requests, but not for faults that it ordered."""

import aiohttp
import pytest
from aiohttp import web
from machine import TOKEN
from servers import simulator, stand_in

EVENT = {"event_name": "PageView", "event_time": 1, "action_source": "website", "user_data": {}}


async def _sent(graph: str, path: str = "/v26.0/1/events", **body: object) -> int:
    async with aiohttp.ClientSession() as session, session.post(graph + path, json=body) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v26.0/1/event", {}, "POST /v26.0/1/event"),
        ("/v26.0/1/events", {"access_token": "stale", "data": [EVENT]}, "Invalid OAuth access token"),
        ("/v26.0/1/events", {"access_token": TOKEN, "data": [EVENT]}, "Invalid parameter"),
    ],
    ids=["path", "token", "event"],
)
async def test_what_no_test_expects_fails_it(path: str, body: dict[str, object], words: str) -> None:
    """An unknown path, a wrong token and a refused event raise an error at the end."""
    with pytest.raises(AssertionError, match=words):
        async with simulator() as graph:
            assert await _sent(graph, path, **body) >= 400


async def test_what_a_test_expects_passes() -> None:
    """A refusal whose code the test expects, or whose fault it ordered, raises no error."""
    async with simulator(expected={190}) as graph:
        assert await _sent(graph, access_token="stale", data=[EVENT]) == 401
        assert await _sent(graph, "/sim/faults", mode="500") == 200
        assert await _sent(graph, access_token=TOKEN, data=[EVENT]) == 500


async def test_a_stand_in_has_the_paths_it_names() -> None:
    """A stand-in fails the test for a path or method that it does not have."""

    async def answer_known(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/known", answer_known)
    with pytest.raises(AssertionError, match="POST /known"):
        async with stand_in(app) as graph:
            assert await _sent(graph, "/known") == 405
