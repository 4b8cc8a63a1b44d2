"""An operator at any of several proxies sees the events of all, and all obey the operator's orders."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_server import USER, Cluster, psql
from support import PIXEL, Installation, get_json, installation, page_views, until


@pytest.fixture(name="url", scope="module")
def _url(postgres: Cluster) -> Iterator[str]:
    name = f"t{uuid.uuid4().hex}"
    psql(postgres, f"CREATE DATABASE {name} OWNER {USER}")
    yield postgres.url(database=name)
    psql(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(name="pair", scope="module")
async def _pair(url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Installation, Installation]]:
    settings: dict[str, Any] = {"queue": {"engine": "postgres", "url": url, "min_free_bytes": 0}}
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    async with installation(Path(first), more=settings) as here, installation(Path(second), more=settings) as there:
        yield here, there


async def _state(proxy: Installation) -> str:
    (pixel,) = (await get_json(proxy.session, f"{proxy.operator}/api/pixels"))["pixels"]
    return str(pixel["state"])


def _delivered(heard: bytearray) -> list[bytes]:
    return [line for line in bytes(heard).splitlines() if b'"status":"delivered"' in line and b"shared-" in line]


async def test_each_proxy_tells_what_happens_at_the_other(pair: tuple[Installation, Installation]) -> None:
    """A page at one proxy gets each event that came to the other one once, whichever delivers it."""
    here, there = pair
    heard = bytearray()

    async def listen() -> None:
        async with there.session.get(f"{there.operator}/api/stream") as answer:
            async for chunk in answer.content.iter_any():
                heard.extend(chunk)

    listening = asyncio.create_task(listen())
    try:
        await until(lambda: b"event: status" in heard, what="the first word")
        await here.post(page_views([f"shared-{number}" for number in range(5)]))
        await until(lambda: len(_delivered(heard)) >= 5, what="five events")
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    assert len(_delivered(heard)) == 5


async def test_an_order_at_one_proxy_is_obeyed_by_the_other(pair: tuple[Installation, Installation]) -> None:
    """A pause ordered at either proxy holds events at both, until either resumes the pixel."""
    here, there = pair
    for one, other in ((here, there), (there, here)):
        before = [len((await proxy.report())["pairs"]) for proxy in pair]
        async with one.session.post(f"{one.operator}/api/pixels/{PIXEL}/pause", json={}) as answer:
            assert answer.status == 200

        async def is_stopped(proxy: Installation = other) -> bool:
            return await _state(proxy) == "stopped"

        await until(is_stopped, what="the pause at the other")
        identity = f"ordered-{uuid.uuid4().hex}"
        await other.post(page_views([identity]))
        waiting = (await get_json(one.session, f"{one.operator}/api/waiting?id={identity}"))["waiting"]
        held = [len((await proxy.report())["pairs"]) for proxy in pair]
        async with other.session.post(f"{other.operator}/api/pixels/{PIXEL}/resume", json={}) as answer:
            assert answer.status == 200

        async def is_delivered(proxy: Installation = one, wanted: str = identity) -> bool:
            address = f"{proxy.operator}/api/events?status=delivered&id={wanted}"
            return bool((await get_json(proxy.session, address))["events"])

        await until(is_delivered, what="the event")
        assert [event["id"] for event in waiting] == [identity]
        assert held == before
