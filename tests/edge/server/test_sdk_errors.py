"""Errors as a program sees them through Meta's SDKs: exceptions, codes and texts are those of Graph itself."""

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sdks import FOREIGN_KEY, KEY, OTHER_PIXEL, OTHER_SITE, SDKS, Sdk
from support import PIXEL, TOKEN, Installation, get_json, installation

from proxy.edge.server import keys

WRONG = "not-the-key-of-any-site-0123456789"
TRACE = re.compile(r"A[\w-]{22}")
INVALID, OBJECT, DOWN = "OAuthException", "GraphMethodException", "ApiException"
# How each SDK sends synchronously, and its other classes; a program's own HTTP client sees what it returned itself.
WAYS = {
    "python": ("synchronous", "as_form", "as_json", "asynchronous", "in_batches", "in_requests", "by_pixel"),
    "node": ("synchronous", "byService", "byClient", "inBatches", "inRequests", "byPixel"),
}


LARGE = {"1,001 events", "too large"}


class Seen(NamedTuple):
    """What a program sees of an error."""

    status: int
    code: int
    subcode: int | None
    type: str
    message: str
    """A regular expression."""
    title: str = ""
    message_to_people: str = ""
    """A regular expression."""
    blame: list[Any] | None = None
    is_transient: bool = False


def of_event(subcode: int | None, title: str, why: str, *blame: str, place: int = 0) -> Seen:
    """Return what a program sees when Graph refuses an event."""
    people = rf"data\[{place}\]: {why}"
    return Seen(400, 100, subcode, INVALID, "Invalid parameter", title, people, [["data", place, *blame]])


def of_request(why: str, status: int = 400) -> Seen:
    return Seen(status, 100, None, INVALID, f"Invalid parameter: {why}", "Invalid request", why)


def of_object(name: str, status: int = 400) -> Seen:
    return Seen(status, 100, 33, OBJECT, rf"Unsupported post request\. Object with ID '{name}' does not exist, .*")


EVENTS = {
    "too old": of_event(2804003, "Event Timestamp Too Old", r"event_time: \d+ is 720 hours ago; .*", "event_time"),
    "in the future": of_event(
        2804004, "Event Timestamp In The Future", r"event_time: \d+ is \d+ s ahead; accepted: 60 s .*", "event_time"
    ),
    "in milliseconds": of_event(
        2804004, "Event Timestamp In The Future", r"event_time: \d+ is in milliseconds, .*", "event_time"
    ),
    "no value": of_event(
        2804009, "Missing Value for Purchase Event", r"custom_data\.value: missing; .*", "custom_data", "value"
    ),
    "no currency": of_event(
        *(2804011, "Invalid Currency For Purchase Event", r"custom_data\.currency: missing; .*"),
        *("custom_data", "currency"),
    ),
    "little identity": of_event(
        2804050, "Not Enough Customer Information", "user_data: too little to tell a person.*", "user_data"
    ),
    "no identity": of_event(
        2804050, "Not Enough Customer Information", "user_data: too little to tell a person.*", "user_data"
    ),
    "no message": of_event(
        *(2804066, "Event Name Not Allowed For Business Messaging", "event_name: not for business_messaging; .*"),
        "event_name",
    ),
    "no device": of_event(
        2804043, "Invalid Extended Device Info", r"app_data\.extinfo: incomplete; .*", "app_data", "extinfo"
    ),
    "no lead": of_event(None, "Invalid event", r"user_data\.lead_id: not 15 to 17 digits; .*", "user_data", "lead_id"),
    "no source": of_event(None, "Invalid event", "action_source: missing; .*", "action_source"),
    "the second": of_event(2804003, "Event Timestamp Too Old", "event_time: .*", "event_time", place=1),
    "no events": of_request("data: 0 events; accepted: 1 to 1000"),
    "1,001 events": of_request("data: 1001 events; accepted: 1 to 1000"),
    "not JSON": of_event(None, "Invalid event", r"event: not JSON \(.*\); .*", place=1),
    "too large": of_request("body: too large; accepted: 16777216 bytes, packed and unpacked", 413),
}
NO_KEY = Seen(400, 104, None, INVALID, r"An access token is required to request this resource\.")
WRONG_KEY = Seen(401, 190, None, INVALID, "Invalid OAuth access token - Cannot parse access token")
THROTTLED = Seen(429, 4, None, DOWN, "Too many wrong access tokens of one address; .*", is_transient=True)
UNAVAILABLE = Seen(503, 2, None, DOWN, "Service temporarily unavailable: .*", is_transient=True)


class Opening(NamedTuple):
    """A path and key that are refused, and what a program sees of that."""

    seen: Seen
    path: str = ""
    key: str = KEY
    pixel: str = PIXEL
    is_of_graph: bool = True
    """Whether Graph answers the same to such a request, with its token in place of our key."""


OPENINGS = {
    # The Node SDK sends nothing without a token; to the simulator a blank one is a wrong one.
    "no key": Opening(NO_KEY, key=" ", is_of_graph=False),
    "wrong key": Opening(WRONG_KEY, key=WRONG),
    "nobody's pixel": Opening(of_object("4444444444"), pixel="4444444444", is_of_graph=False),
    "another's pixel": Opening(of_object(OTHER_PIXEL), pixel=OTHER_PIXEL, is_of_graph=False),
    "another's key": Opening(of_object(PIXEL), key=FOREIGN_KEY, is_of_graph=False),
    "a mistyped prefix": Opening(
        of_object(rf"mistyped/v\d+\.\d/{PIXEL}/events", 404), path="/mistyped", is_of_graph=False
    ),
}


@pytest.fixture(name="sdk", scope="module", params=SDKS)
def _sdk(request: pytest.FixtureRequest) -> Sdk:
    return SDKS[request.param]()


@pytest.fixture(name="shop", scope="module")
async def _shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    directory = tmp_path_factory.mktemp("shop")
    async with installation(directory, refused_with=[100, 104, 190], others=[OTHER_SITE], access_keys=[KEY]) as shop:
        yield shop


@pytest.fixture(name="told", scope="module")
async def _told(shop: Installation, sdk: Sdk) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what programs see of bad events, by case: from Graph, and from the proxy."""
    cases = [f"{way}:{case}" for way in WAYS[sdk.name] for case in EVENTS if way == "synchronous" or case not in LARGE]
    return await sdk.run(shop.graph, TOKEN, "direct-", *cases), await sdk.run(shop.public, KEY, "proxied-", *cases)


def check(found: Mapping[str, Any], seen: Seen) -> None:
    """Check the exception that a program sees, and the error body in it."""
    error = found["error"]
    assert found["class"] == "FacebookRequestError"
    assert (found["status"], found["code"], found["subcode"], found["type"]) == seen[:4]
    assert re.fullmatch(seen.message, found["message"]), found["message"]
    assert error.get("error_user_title", "") == seen.title
    assert re.fullmatch(seen.message_to_people, error.get("error_user_msg", "")), error
    assert found["blame"] == seen.blame
    assert found["is_transient"] is seen.is_transient
    assert TRACE.fullmatch(error["fbtrace_id"])
    assert not found["shows_token"]


def as_graphs(direct: Mapping[str, Any], proxied: Mapping[str, Any]) -> None:
    """Check that both errors are the same in all that a program acts on."""
    alike = ("class", "status", "code", "subcode")
    assert {key: proxied.get(key) for key in alike} == {key: direct.get(key) for key in alike}
    assert bool(proxied.get("is_transient")) == bool(direct.get("is_transient"))


@pytest.mark.parametrize("case", EVENTS)
def test_bad_events_raise_what_graph_would(told: tuple[dict[str, Any], dict[str, Any]], case: str) -> None:
    """The proxy refuses the same events as Graph, at once, and names each by its index and member."""
    direct, proxied = (of_whom[f"synchronous:{case}"] for of_whom in told)

    check(proxied, EVENTS[case])
    as_graphs(direct, proxied)
    assert proxied["type"] == direct["type"]
    assert (direct["blame"] or [[]])[0] == (proxied["blame"] or [[]])[0][2:] or case in ("no events", "1,001 events")
    assert direct["error"].get("error_user_title", EVENTS[case].title) == EVENTS[case].title


def test_other_classes_raise_what_graph_would_make_them_raise(told: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Asynchronous classes, batches and a program's own HTTP client behave with the proxy as with Graph."""
    direct, proxied = told

    assert {found["class"] for found in direct.values()} >= {"FacebookRequestError"}
    for case in direct:
        as_graphs(direct[case], proxied[case])
        assert not proxied[case].get("shows_token")


@pytest.mark.parametrize("opening", OPENINGS.values(), ids=OPENINGS)
async def test_closed_doors_raise_what_graph_would(shop: Installation, sdk: Sdk, opening: Opening) -> None:
    """A missing or wrong key, a pixel of another site or of none, and a mistyped address give Graph's errors."""
    case = "synchronous:too old"
    found = (await sdk.run(shop.public + opening.path, opening.key, "closed-", case, pixel=opening.pixel))[case]

    check(found, opening.seen)
    if opening.is_of_graph:
        as_graphs((await sdk.run(shop.graph, opening.key, "closed-", case, pixel=opening.pixel))[case], found)


async def test_graphs_batch_endpoint_raises_an_error_with_a_code(shop: Installation, sdk: Sdk) -> None:
    """The proxy has no batch endpoint; a program that uses it gets an error with a code, and nothing is stored."""
    case = {"python": "in_graph_batch:plain", "node": "inGraphBatch:plain"}[sdk.name]
    found = (await sdk.run(shop.public, KEY, f"{sdk.name}-batch-", case))[case]

    check(found, of_object(r"v\d+\.\d", 404))
    told = (await get_json(shop.session, f"{shop.operator}/api/events?limit=1000"))["events"]
    assert [row for row in told if "-batch-" in row["id"]] == []


async def test_who_tries_many_wrong_keys_is_throttled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sdk: Sdk
) -> None:
    """After many wrong keys the answer is 429 with code 4, as Graph's, but not for the right key."""
    # Otherwise a wrong key would be allowed again by the time the program has started.
    monkeypatch.setattr(keys, "_PER_SECOND", 1e-6)
    async with installation(tmp_path, access_keys=[KEY]) as shop:
        address = f"{shop.public}/v26.0/{PIXEL}/events?access_token={WRONG}"
        statuses = []
        for _ in range(40):
            async with shop.session.post(address, json={"data": []}) as answer:
                statuses.append(answer.status)
        assert (statuses[0], statuses[-1]) == (401, 429)
        case = "synchronous:plain"
        found = (await sdk.run(shop.public, WRONG, "throttled-", case))[case]
        right = (await sdk.run(shop.public, KEY, "right-", case))[case]
        await shop.fault(mode="429")
        direct = (await sdk.run(shop.graph, TOKEN, "direct-", case))[case]

    check(found, THROTTLED)
    as_graphs(direct, found)
    assert right == {"class": ""}


async def test_what_cannot_be_stored_is_refused_for_now(tmp_path: Path, sdk: Sdk) -> None:
    """If nothing can be stored, the answer is 503 with code 2, as Graph's when it is down, so that programs retry."""
    more = {"queue": {"min_free_bytes": 1 << 60}}
    async with installation(tmp_path, more=more, access_keys=[KEY]) as shop:
        case = "synchronous:plain"
        found = (await sdk.run(shop.public, KEY, "full-", case))[case]
        await shop.fault(mode="500", status=503)
        direct = (await sdk.run(shop.graph, TOKEN, "direct-", case))[case]
        arrived = await get_json(shop.session, f"{shop.graph}/sim/events")

    check(found, UNAVAILABLE)
    as_graphs(direct, found)
    assert arrived["events"] == []
