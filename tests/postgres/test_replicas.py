"""The list of proxies that share a queue, as each of them sees it."""

from postgres_server import Cluster
from shared_books import Books
from support import PIXEL

from proxy.doctor.database_bounds import USUAL
from proxy.doctor.database_upkeep import upkeep
from proxy.model.verdict import GraphError
from proxy.queue.contract import DeliveryState, LaneReport
from proxy.queue.postgres.database import Role
from proxy.queue.postgres.lane_table import ADD, TAKE, keep_state
from proxy.queue.postgres.look import inspect_servers
from proxy.queue.postgres.server_facts import ServerFacts
from proxy.queue.postgres.transaction import Run


async def test_each_proxy_knows_all(books: Books, other: Books) -> None:
    """Every proxy is listed with its silence, and the answering one is marked."""
    rename = "UPDATE replica SET name = $2, version = $3 WHERE id = $1"
    await books.database.run(Role.BOOKS, rename, books.database.replica, "shop-1", "0.2.0")
    await books.database.run(Role.BOOKS, rename, other.database.replica, "shop-2", "0.3.0")
    silence = "UPDATE replica SET seen_at = seen_at - interval '90 s' WHERE id = $1"
    await books.database.run(Role.BOOKS, silence, other.database.replica)
    found = await books.archive.replicas()

    assert [(each.name, each.version, each.is_this) for each in found] == [
        ("shop-1", "0.2.0", True),
        ("shop-2", "0.3.0", False),
    ]
    assert [each.is_this for each in await other.archive.replicas()] == [False, True]
    assert found[0].silent_ms < 60_000
    assert found[1].silent_ms >= 90_000
    assert found[0].started_at <= found[0].seen_at
    await books.database.run(Role.BOOKS, "UPDATE replica SET seen_at = now() - interval '2 days' WHERE name = 'shop-2'")
    assert [each.name for each in await books.archive.replicas()] == ["shop-1"]


async def test_a_lane_is_told_as_its_leader_knows_it(books: Books, other: Books) -> None:
    """Every proxy reports the same leader and state of a pixel's lane; the tending lane is not reported."""
    state = DeliveryState("token", 3, 17, "http_500", GraphError(190, None, "words", "trace"))

    async def lead(run: Run) -> None:
        await run(ADD, [PIXEL, "77", "@tend"])
        await run(TAKE, other.database.replica, [PIXEL, "@tend"], 15.0, True)
        await keep_state(run, PIXEL, other.database.replica, state)

    await other.database.transact(Role.BOOKS, lead)
    (name,) = [each.name for each in await other.archive.replicas() if each.is_this]

    assert await books.archive.lane_reports() == {
        PIXEL: LaneReport(name, is_this=False, state=state),
        "77": LaneReport("", is_this=False, state=DeliveryState()),
    }
    assert (await other.archive.lane_reports())[PIXEL] == LaneReport(name, is_this=True, state=state)


async def test_the_check_names_a_proxy_that_fell_silent(
    books: Books, other: Books, postgres: Cluster, schema: str
) -> None:
    """A crashed proxy is named in the findings; one at work is not, nor one that has been silent for a day."""

    async def told() -> list[str]:
        (server,) = await inspect_servers(postgres.url(), schema=schema)
        assert isinstance(server, ServerFacts)
        return [str(finding) for finding in upkeep(server, USUAL) if "heard nothing" in str(finding)]

    silence = "UPDATE replica SET name = 'shop-2', seen_at = now() - $2 * interval '1 minute' WHERE id = $1"
    found = []
    for minutes in (0.5, 5.0, 1500.0):
        await books.database.run(Role.BOOKS, silence, other.database.replica, minutes)
        found.append(await told())

    assert [len(each) for each in found] == [0, 1, 0]
    assert "proxy shop-2 for 5 min" in found[1][0]
