"""The join of a server's event with its visitor, case by case."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.event import DropReason
from proxy.model.join import CERTAIN, Join, JoinKey, JoinKind, Sighting
from proxy.model.record import Record
from proxy.model.units import DAY_MS
from proxy.queue.joining import joined

NOW = 1_800_000_000_000
HOUR = 3_600_000


def key(kind: JoinKind, value: str) -> JoinKey:
    return kind, value.encode().ljust(16, b"\0")


def order(value: str) -> JoinKey:
    return key(JoinKind.ORDER, value)


def email(value: str) -> JoinKey:
    return key(JoinKind.EMAIL, value)


def account(value: str) -> JoinKey:
    return key(JoinKind.ACCOUNT, value)


def browser(value: str) -> JoinKey:
    return key(JoinKind.BROWSER, value)


def sighting(visitor: str, *keys: JoinKey, name: str = "Purchase", hours: int = 1, **other: object) -> Sighting:
    """Return what a page of this visitor left some hours ago."""
    facts: dict[str, object] = {
        "site": "shop",
        "keys": (*keys, browser(visitor)),
        "name": name,
        "id": f"{name}-of-{visitor}",
        "at": NOW - hours * HOUR,
        "visitor": visitor.encode().ljust(8, b"\0"),
        "fbp": f"fb.1.1.{visitor}",
        "fbc": f"fb.1.1.click-{visitor}",
        "address": f"address of {visitor}",
        "user_agent": f"agent of {visitor}",
        "person_digests": (visitor.encode().ljust(16, b"\0"),),
    }
    return Sighting(**(facts | other))  # type: ignore[arg-type]


def refusal(visitor: str, *keys: JoinKey, reason: DropReason = DropReason.OPTED_OUT, hours: int = 1) -> Sighting:
    """Return the sighting of a visitor who refused; one without a visitor is of a browser without an id."""
    nothing: dict[str, Any] = {
        "fbp": "",
        "fbc": "",
        "address": "",
        "user_agent": "",
        "person_digests": (),
        "forbidden": reason,
    }
    found = sighting(visitor, *keys, hours=hours, **nothing)
    return found if visitor else found._replace(visitor=b"", keys=keys)


def told(*keys: JoinKey, name: str = "Purchase", user_data: dict[str, str] | None = None, **join: object) -> Record:
    """Return a server's event that is joined by these keys."""
    payload = {"event_name": name, "event_id": "theirs", "user_data": {"em": ["hash"], **(user_data or {})}}
    facts: dict[str, object] = {"site": "shop", "keys": keys, "unknown": "send", "days": 7}
    return Record(
        "1", name, "theirs", NOW // 1000, b"", None, "", orjson.dumps(payload), ("client_user_agent:missing",)
    )._replace(pending=Join(**(facts | join)))  # type: ignore[arg-type]


def user_data(found: Record | DropReason) -> dict[str, str]:
    assert isinstance(found, Record)
    data: dict[str, str] = orjson.loads(found.payload)["user_data"]
    return data


def visitor_in(found: Record | DropReason) -> str:
    """Return the visitor whose data an event has, empty if none; all of the data must be of the same visitor."""
    data = user_data(found)
    names = {
        text.rsplit(".", 1)[-1].rsplit(" ", 1)[-1].removeprefix("click-") for key, text in data.items() if key != "em"
    }
    assert len(names) <= 1, data
    return next(iter(names), "")


def test_an_order_brings_its_visitor_and_the_id_of_its_copy() -> None:
    """Browser ids, address, user agent and event id are taken from the sighting; contact data is not."""
    found = joined(told(order("1")), [sighting("ann", order("1"), email("a"))], NOW)

    assert isinstance(found, Record)
    assert orjson.loads(found.payload) == {
        "event_name": "Purchase",
        "event_id": "Purchase-of-ann",
        "user_data": {
            "em": ["hash"],
            "fbp": "fb.1.1.ann",
            "fbc": "fb.1.1.click-ann",
            "client_ip_address": "address of ann",
            "client_user_agent": "agent of ann",
        },
    }
    assert (found.id, found.pending) == ("Purchase-of-ann", None)
    assert found.findings == ("joined:order",)
    assert found.person_digests == (b"ann".ljust(16, b"\0"),)


@pytest.mark.parametrize(
    ("keys", "sightings", "whose"),
    [
        ([order("1"), email("a")], [sighting("ann", order("1")), sighting("bob", email("a"))], "ann"),
        ([account("x"), email("a")], [sighting("ann", account("x")), sighting("bob", email("a"))], "ann"),
        ([email("a")], [sighting("ann", email("a"), name="InitiateCheckout")], "ann"),
        ([order("1"), email("a")], [sighting("ann", email("a"), name="InitiateCheckout")], "ann"),
        ([browser("ann"), order("2")], [sighting("ann", order("1"))], "ann"),
        ([order("2"), email("a")], [sighting("ann", order("1"), email("a"))], ""),
        ([account("x"), email("a")], [sighting("bob", account("y"), email("a"))], ""),
        (
            [order("2"), email("a")],
            [sighting("ann", email("a"), name="InitiateCheckout"), sighting("ann", order("1"), email("a"))],
            "",
        ),
        ([email("a")], [sighting("ann", email("a")), sighting("bob", email("a"))], ""),
        ([order("2"), email("a")], [sighting("ann", order("1"), email("a")), sighting("bob", email("a"))], ""),
        ([order("1"), email("a")], [sighting("ann", email("a"), name="InitiateCheckout", hours=4)], ""),
        ([order("1"), account("x")], [sighting("ann", account("x"), name="InitiateCheckout", hours=4)], "ann"),
        ([email("a")], [sighting("ann", email("a"), name="Lead", hours=100)], "ann"),
        ([order("2"), email("a")], [sighting("ann", email("a"), name="Lead"), sighting("ann", order("1"))], ""),
        ([order("1")], [sighting("ann", order("1")), sighting("bob", order("1"))], ""),
        ([order("1")], [sighting("ann", order("1"), site="other")], ""),
        ([order("1")], [sighting("ann", order("1"), hours=7 * 24 + 1)], ""),
        ([order("1"), browser("bob")], [sighting("ann", order("1"))], ""),
        ([order("1")], [], ""),
        ([], [sighting("ann", order("1"))], ""),
    ],
    ids=[
        "the order before the address",
        "the account before the address",
        "an address of one visitor",
        "a checkout that named no order yet",
        "the browser that the server names, though it ordered before",
        "another order of the same address",
        "another account of the same address",
        "a visitor of whom another order is known",
        "an address of two visitors",
        "an address of two visitors, of whom one ordered something else",
        "a checkout of the address that was long before the order",
        "a checkout of the account that was long before the order",
        "what names no order, long before",
        "a visitor who told the address, and ordered something else without it",
        "an order of two visitors",
        "another site",
        "too long ago",
        "the server names another browser",
        "nobody",
        "no key",
    ],
)
def test_whose_data_is_attached(keys: Sequence[JoinKey], sightings: Sequence[Sighting], whose: str) -> None:
    """The most certain key decides, and a doubt leaves the event without data."""
    assert visitor_in(joined(told(*keys), sightings, NOW)) == whose


def test_the_id_of_a_copy_crosses_over_by_the_order_alone() -> None:
    """An address or a checkout finds the visitor, but is no copy of this event, whose id stays."""
    by_address = joined(told(email("a")), [sighting("ann", email("a"))], NOW)
    by_checkout = joined(told(order("1")), [sighting("ann", order("1"), name="InitiateCheckout")], NOW)
    copy_of_another_browser = joined(told(order("1"), browser("bob")), [sighting("ann", order("1"))], NOW)

    assert [getattr(found, "id", "") for found in (by_address, by_checkout)] == ["theirs", "theirs"]
    assert getattr(copy_of_another_browser, "id", "") == "Purchase-of-ann"


def test_nothing_of_the_server_is_overwritten() -> None:
    """The event's own values are kept, and only missing ones are added."""
    said = {"fbp": "fb.1.1.own", "client_ip_address": "own address"}
    data = user_data(joined(told(order("1"), user_data=said), [sighting("ann", order("1"))], NOW))

    assert data == {"em": ["hash"], **said, "fbc": "fb.1.1.click-ann", "client_user_agent": "agent of ann"}


@pytest.mark.parametrize(
    ("takes", "names"), [("all", {"fbp", "fbc", "client_ip_address", "client_user_agent"}), ("ids", {"fbp", "fbc"})]
)
def test_what_crosses_over_depends_on_where_it_happened(takes: str, names: set[str]) -> None:
    """A sale in a shop takes the browser's ids, but neither its address nor its user agent."""
    assert user_data(joined(told(order("1"), takes=takes), [sighting("ann", order("1"))], NOW)).keys() - {"em"} == names


def test_the_first_click_of_a_journey_stays() -> None:
    """The order keeps its click id, though the visitor came back from a payment app with another one."""
    journey = [
        sighting("ann", order("1"), hours=1, fbc="fb.1.9.app"),
        sighting("ann", order("1"), hours=2, name="InitiateCheckout", fbc="fb.1.1.shop"),
    ]

    assert user_data(joined(told(order("1")), journey, NOW))["fbc"] == "fb.1.1.shop"


@pytest.mark.parametrize("reason", [DropReason.OPTED_OUT, DropReason.GPC, DropReason.NO_CONSENT, DropReason.DNT])
def test_a_refusal_binds_the_servers_event(reason: DropReason) -> None:
    """If a visitor refused at the order, a server's event of the order is dropped for the same reason."""
    assert joined(told(order("1")), [refusal("ann", order("1"), reason=reason)], NOW) is reason


@pytest.mark.parametrize(
    ("sightings", "leaves"),
    [
        ([refusal("ann", order("1"), hours=2), sighting("ann", order("1"), hours=1)], True),
        ([sighting("ann", order("1"), hours=2), refusal("ann", order("1"), hours=1)], False),
        ([refusal("", order("1"), reason=DropReason.NO_CONSENT, hours=2), sighting("ann", order("1"))], True),
        ([sighting("ann", order("1"), hours=2), refusal("", order("1"), reason=DropReason.NO_CONSENT)], False),
        ([refusal("", order("1"), reason=DropReason.GPC, hours=2), sighting("ann", order("1"))], True),
        ([sighting("ann", order("1"), hours=2), refusal("", order("1"), reason=DropReason.GPC)], False),
        ([sighting("ann", email("a")), refusal("bob", email("a"))], False),
        ([sighting("ann", order("1"), email("a")), refusal("bob", email("a"))], True),
        ([refusal("bob", order("2"), email("a"), hours=100)], False),
        ([refusal("bob", email("a"), hours=101), sighting("bob", order("2"), email("a"), hours=100)], True),
    ],
    ids=[
        "granted again",
        "refused afterwards",
        "not answered yet, then granted",
        "not answered afterwards",
        "a stranger who refused for a number that was to come",
        "under GPC afterwards",
        "somebody of the same address",
        "the order decides before the address",
        "whoever has the address, and ordered something else",
        "whoever has the address, and granted again",
    ],
)
def test_the_last_word_of_each_visitor_counts(sightings: Sequence[Sighting], *, leaves: bool) -> None:
    """A later grant permits the join; if one of several visitors refuses, the event is dropped."""
    assert isinstance(joined(told(order("1"), email("a")), sightings, NOW), Record) is leaves


def test_nothing_of_a_refusing_visitor_is_attached_after_a_grant() -> None:
    """Forbidden sightings of a visitor who granted later contribute nothing, not even empty ids."""
    journey = [refusal("ann", order("1"), hours=2), sighting("ann", order("1"), hours=1)]

    assert visitor_in(joined(told(order("1")), journey, NOW)) == "ann"


@pytest.mark.parametrize("unknown", ["send", "ldu", "drop"])
def test_people_never_seen_are_treated_as_the_site_says(unknown: str) -> None:
    """They are sent, sent under Limited Data Use, or dropped."""
    found = joined(told(order("1"), unknown=unknown), [], NOW)

    if unknown == "drop":
        assert found is DropReason.NO_CONSENT
        return
    assert isinstance(found, Record)
    options = orjson.loads(found.payload).get("data_processing_options")
    assert (found.pending, options) == (None, ["LDU"] if unknown == "ldu" else None)


def test_an_order_of_two_visitors_counts_as_seen() -> None:
    """If both visitors consented, the event is sent without the data of either, and a finding says so."""
    found = joined(told(order("1"), unknown="drop"), [sighting("ann", order("1")), sighting("bob", order("1"))], NOW)

    assert isinstance(found, Record)
    assert found.findings == ("client_user_agent:missing", "joined:several")


def test_limited_data_use_of_the_visitor_crosses_over() -> None:
    """The strictest options of the visitor's sightings are used."""
    journey = [sighting("ann", order("1"), options=(("LDU",), 1, 1000)), sighting("ann", order("1"), hours=0)]
    found = joined(told(order("1")), journey, NOW)

    assert isinstance(found, Record)
    payload = orjson.loads(found.payload)
    assert payload["data_processing_options"] == ["LDU"]
    assert payload["data_processing_options_state"] == 1000


KINDS = st.sampled_from([JoinKind.ORDER, JoinKind.CHECKOUT, JoinKind.ACCOUNT, JoinKind.EMAIL, JoinKind.PHONE])
KEYS = st.lists(st.builds(key, KINDS, st.sampled_from(["1", "2", "3"])), max_size=4)
SIGHTINGS = st.lists(
    st.builds(
        lambda visitor, keys, hours: sighting(visitor, *keys, hours=hours),
        st.sampled_from(["ann", "bob", "eve"]),
        KEYS,
        st.integers(0, 200),
    ),
    max_size=6,
)


@given(KEYS, SIGHTINGS, st.randoms())
def test_whatever_was_seen_in_whatever_order(keys: list[JoinKey], sightings: list[Sighting], random: object) -> None:
    """The data is of one visitor, who shares no key with another, and the order of sightings makes no difference."""
    found = joined(told(*keys), sightings, NOW)
    shuffled = list(sightings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    again = joined(told(*keys), shuffled, NOW)

    assert visitor_in(found) == visitor_in(again)
    if whose := visitor_in(found):
        young = [each for each in sightings if each.at >= NOW - 7 * DAY_MS]
        sharing = [each for each in young if set(keys) & set(each.keys)]
        alone = [
            each
            for each in keys
            if {other.fbp.rsplit(".", 1)[-1] for other in sharing if each in other.keys} == {whose}
        ]
        assert alone
        surest = min(each[0] for each in alone)
        assert surest in CERTAIN or not any(
            {value for kind, value in keys if kind is JoinKind.ORDER}
            and {value for kind, value in each.keys if kind is JoinKind.ORDER}
            and not set(keys) & {pair for pair in each.keys if pair[0] is JoinKind.ORDER}
            for each in young
            if each.fbp.endswith(whose)
        )
