"""Meta's SDKs, unmodified, sending to the proxy: every event that they can build arrives as if sent directly."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sdks import AT_ONCE, KEY, SDKS, Sdk, enriched, in_order, recorded
from support import TOKEN, Installation, installation

from proxy import __version__


@dataclass(frozen=True)
class Sent:
    """The events that an SDK sent to Graph and, with only host and key changed, to the proxy."""

    unsent: list[str]
    """Fields and classes of the SDK that its program does not know."""
    direct: dict[str, list[dict[str, Any]]]
    """Graph's answers, by case and request."""
    proxied: dict[str, list[dict[str, Any]]]
    """The proxy's answers, by case and request."""
    at_graph: dict[str, dict[str, Any]]
    """Events that arrived directly, by event id."""
    by_proxy: dict[str, dict[str, Any]]
    """Events that arrived through the proxy, by event id."""


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("shop"), access_keys=[KEY], orders=AT_ONCE) as shop:
        yield shop


@pytest.fixture(name="sent", scope="module", params=SDKS)
async def _sent(request: pytest.FixtureRequest, shop: Installation) -> Sent:
    sdk: Sdk = SDKS[request.param]()
    direct = await sdk.run(shop.graph, TOKEN, f"{sdk.name}-direct-", "all")
    proxied = await sdk.run(f"{shop.public}/shop-tools", KEY, f"{sdk.name}-proxied-", "all")
    count = sum(answer["received"] for answers in direct["answers"].values() for answer in answers)
    return Sent(
        direct["unsent"],
        direct["answers"],
        proxied["answers"],
        await recorded(shop, f"{sdk.name}-direct-", count),
        await recorded(shop, f"{sdk.name}-proxied-", count),
    )


def test_no_field_is_forgotten(sent: Sent) -> None:
    """The program sets every field of every class in its SDK; reflection would find those of a new version."""
    assert sent.unsent == []


def test_every_event_arrives_as_if_sent_directly(sent: Sent) -> None:
    """All fields, names, enum words and sources arrive at Graph unchanged, except for documented changes of form."""
    assert len(sent.at_graph) > 300
    assert {name: in_order(entry["event"]) for name, entry in sent.by_proxy.items()} == {
        name: in_order(enriched(entry["event"])) for name, entry in sent.at_graph.items()
    }


def test_what_stands_beside_events_arrives_with_them_alone(sent: Sent) -> None:
    """Request fields such as test code and upload tag arrive with the events of their own request only."""
    # None, each alone, all; a class of the Python SDK cannot send one of them.
    own = {"partner_agent": f"capi-proxy-{__version__}"}

    assert (
        len({tuple(sorted(entry["request"].items())) for entry in sent.at_graph.values()}) >= 8
    )  # none, each alone, all
    assert {name: entry["request"] for name, entry in sent.by_proxy.items()} == {
        name: own | entry["request"] for name, entry in sent.at_graph.items()
    }


def test_programs_see_the_same_success(sent: Sent) -> None:
    """Every way to send, synchronous, asynchronous, in batches or by an own HTTP client, reports the same success."""
    told = [
        {
            case: [
                (answer["received"], answer["messages"], bool(re.fullmatch(r"A[\w-]{22}", answer["trace"])))
                for answer in each
            ]
            for case, each in answers.items()
        }
        for answers in (sent.direct, sent.proxied)
    ]

    assert told[0] == told[1]
    assert all(is_trace for answers in told[0].values() for _, _, is_trace in answers)
