"""Of proxies that share a queue one sends the alerts for all, and the next one continues where it stopped."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alert_receivers import Hook, hook
from clock import Clock
from polling import until
from postgres_server import Cluster
from queues import open_shared

from proxy.alerts.alerter import Alerter
from proxy.alerts.keeping import StateFile, StateLane
from proxy.alerts.message import AlertSender
from proxy.alerts.receivers import receivers_of
from proxy.config.alerts import AlertSettings
from proxy.queue.postgres.engine import SharedQueue
from proxy.telemetry.conditions import Conditions

MINUTE = 60_000


class Member:
    """A proxy's board, queue and alerter."""

    def __init__(self, name: str, directory: Path, taken: Hook, queue: SharedQueue, clock: Clock) -> None:
        self.name, self.queue, self.clock = name, queue, clock
        self.board = Conditions(clock, say=lambda _line: None)
        settings = AlertSettings.model_validate({"webhook": [{"url": taken.url}]}, context={"resolve": str})
        directory.mkdir()
        self.alerter = Alerter(
            settings,
            receivers_of(settings),
            look=self._look,
            known=self.board.current,
            figures=self._figures,
            board=self.board,
            file=StateFile(directory),
            lane=StateLane(queue),
            sender=AlertSender(name, "", "UTC"),
            now=clock,
        )

    async def _look(self) -> Sequence[Any]:
        return self.board.current()

    async def _figures(self, _since: int, _until: int) -> Sequence[str]:
        return ()

    async def tick(self) -> None:
        await self.alerter.tick()
        for post in self.alerter.posts:
            await post.wait_until_idle()

    @property
    def tells(self) -> bool:
        return self.alerter._shared is not None


@asynccontextmanager
async def members(
    directory: Path, cluster: Cluster, schema: str, taken: Hook, clock: Clock
) -> AsyncIterator[tuple[Member, Member]]:
    queues = [await open_shared(cluster, schema, clock, lease_s=1.0) for _ in range(2)]
    made = [Member(f"edge-{n}", directory / str(n), taken, queue, clock) for n, queue in enumerate(queues)]
    try:
        yield made[0], made[1]
    finally:
        for member in made:
            await member.alerter.close()
            await member.queue.close()


async def pass_time(minutes: int, *proxies: Member) -> None:
    for _ in range(minutes):
        proxies[0].clock.now += MINUTE
        for proxy in proxies:
            await proxy.tick()


def titles(taken: Hook) -> list[tuple[str, str]]:
    return [(body["proxy"], body["title"]) for body in taken.bodies]


async def test_one_tells_and_the_next_goes_on(tmp_path: Path, postgres: Cluster, schema: str, clock: Clock) -> None:
    """Both see a condition and one reports it; if that proxy stops, the other repeats nothing and reports the end."""
    async with hook() as taken, members(tmp_path, postgres, schema, taken, clock) as proxies:

        async def one_tells() -> bool:
            for proxy in proxies:
                await proxy.tick()
            return sum(proxy.tells for proxy in proxies) == 1

        await until(one_tells, what="a proxy that tells")
        for proxy in proxies:
            proxy.board.report("dead_letters", "55", "some")
        await pass_time(10, *proxies)
        first = titles(taken)
        teller, other = sorted(proxies, key=lambda proxy: not proxy.tells)
        await teller.queue.close()

        async def goes_on() -> bool:
            await other.tick()
            return other.tells

        await until(goes_on, what="another that tells")
        await pass_time(20, other)
        quiet = titles(taken)
        other.board.clear("dead_letters", "55")
        await pass_time(10, other)

    assert first == quiet == [(teller.name, "Meta refuses events for good: 55")]
    assert titles(taken) == [*first, (other.name, "Over: Meta refuses events for good: 55")]


async def test_each_tells_of_its_own_machine(tmp_path: Path, postgres: Cluster, schema: str, clock: Clock) -> None:
    """Each machine reports its own disk, whichever proxy reports the common conditions."""
    async with hook() as taken, members(tmp_path, postgres, schema, taken, clock) as proxies:
        for proxy in proxies:
            proxy.board.report("disk_short", "", proxy.name)
        await pass_time(10, *proxies)

    assert sorted(titles(taken)) == [(name, "Disk space is running out") for name in ("edge-0", "edge-1")]


async def test_while_the_database_is_away_each_tells_that(
    tmp_path: Path, postgres: Cluster, schema: str, clock: Clock
) -> None:
    """Without the database there is no leader and no shared state, and each proxy reports that the database is away."""
    async with hook() as taken, members(tmp_path, postgres, schema, taken, clock) as (proxy, _):
        await proxy.queue.close()
        proxy.board.report("database", "", "it is away")
        proxy.board.report("dead_letters", "55")
        await pass_time(10, proxy)

    assert titles(taken) == [("edge-0", "The shared database is away")]
