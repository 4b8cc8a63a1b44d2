"""The engine's appends before a fail-over: a repeat of a row that only the primary has is not acknowledged."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from polling import until
from support import SECRET, record
from trio import Trio, trio

from proxy.queue.contract import QueueError, Stored
from proxy.queue.group import Append
from proxy.queue.postgres import plain_append
from proxy.queue.postgres.append import SharedAppends
from proxy.queue.postgres.channel import Channel
from proxy.queue.postgres.database import Database
from proxy.queue.postgres.errors import DatabaseAwayError
from proxy.queue.postgres.opening import make_database
from proxy.queue.postgres.session import Session
from proxy.queue.postgres.suppressions import SharedSuppressions
from proxy.queue.seal import Sealer

pytestmark = pytest.mark.long
_LIMIT_S = 2.0
_PATIENT_S = 60.0


@pytest.fixture(scope="module", name="running")
async def _running() -> AsyncIterator[Trio]:
    async with trio(clients=2) as made:
        yield made


@pytest.fixture(name="servers")
async def _servers(running: Trio) -> AsyncIterator[Trio]:
    yield running
    await running.mend()


@pytest.fixture(autouse=True)
def _fresh_texts() -> Iterator[None]:
    """Clear the cached statement, so that it is made with the current rules."""
    plain_append._text.cache_clear()
    yield
    plain_append._text.cache_clear()


@pytest.fixture(name="proxies")
async def _proxies(servers: Trio) -> AsyncIterator[list[SharedAppends]]:
    databases = [make_database(servers.address(client), Sealer(SECRET), commit_timeout=_LIMIT_S) for client in (0, 1)]
    for database in databases:
        await database.start(patience=_PATIENT_S)
        assert database.is_here, database.why_away
    yield [_appends(database) for database in databases]
    for database in databases:
        await database.close()


def _appends(database: Database) -> SharedAppends:
    return SharedAppends(database, Sealer(SECRET), SharedSuppressions(), lambda: time.time_ns() // 1_000_000)


async def _is_acknowledged(proxy: SharedAppends, number: int) -> bool:
    """Append an event; tell whether it would be acknowledged."""
    try:
        (told,) = await proxy.store(proxy.group([Append([record(number)])]))
    except DatabaseAwayError:
        return False
    assert isinstance(told, Stored | QueueError)
    return isinstance(told, Stored)


async def _waiting(servers: Trio) -> int:
    return int(await servers.primary.value("SELECT coalesce(sum(n), 0) FROM capi_proxy.segment"))


async def _is_visible(servers: Trio) -> bool:
    return await _waiting(servers) > 0


async def _cancelling(
    channel: Channel, work: Callable[[Session], Awaitable[Any]], limit: float, *, tries: int = 1
) -> Any:
    """Run a channel's work, but give up with a time-out, after which the driver sends a cancel request."""
    assert tries
    async with channel._turn:
        session = channel._session or await channel._opened()
        try:
            return await asyncio.wait_for(work(session), limit)
        except TimeoutError as error:
            raise DatabaseAwayError("given up") from error


def _switch_off(patch: pytest.MonkeyPatch, *, cancels: bool, witness: bool) -> None:
    if cancels:
        patch.setattr(Channel, "do", _cancelling)
    if not witness:
        patch.setattr(plain_append, "WITNESS", "SELECT 1 WHERE {replica} IS NOT NULL{where}")


@pytest.mark.parametrize(
    ("cancels", "witness", "lost"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
    ids=["cancelled, no witness", "cancelled, witness", "left running, no witness", "left running, witness"],
)
async def test_an_acknowledged_repeat_survives(
    servers: Trio,
    proxies: list[SharedAppends],
    monkeypatch: pytest.MonkeyPatch,
    *,
    cancels: bool,
    witness: bool,
    lost: bool,
) -> None:
    """Without a standby an event is given up at one proxy and sent to another; then the primary is lost."""
    first, second = proxies
    number = time.time_ns()
    assert not await _waiting(servers)
    _switch_off(monkeypatch, cancels=cancels, witness=witness)
    servers.feeds[servers.primary.name].cut()
    assert not await _is_acknowledged(first, number)
    if cancels:
        await until(lambda: _is_visible(servers), what="the commit that no standby has")
    is_acknowledged = await _is_acknowledged(second, number)
    await servers.primary.kill()
    await servers.feeds[servers.primary.name].drop()
    await servers.promote()

    assert is_acknowledged == lost
    assert await _waiting(servers) == 0
