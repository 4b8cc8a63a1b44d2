"""The keys by which the two copies of an order, and its visitor, are found."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joins import FBP, OLD_SECRET, SECRET, event, hooked, join_of, key, kinds, page, policy, seen, told
from shop_requests import NOW

from proxy.model.join import JOIN_KEY, JoinKey, JoinKind
from proxy.model.server_request import ServerHit
from proxy.rules.joins import placeholders
from proxy.rules.joins.keys import join_keys
from proxy.rules.joins.placeholders import is_placeholder_id, is_placeholder_mail, is_placeholder_phone

TOKEN = "0c6bd3f0a1b24c8f9d11"
WOOCOMMERCE = {"kind": "woocommerce", "secret": "s"}


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def values(keys: tuple[JoinKey, ...], kind: JoinKind) -> set[bytes]:
    return {value for each, value in keys if each is kind}


def test_a_page_and_a_server_make_the_same_keys() -> None:
    """Page and server get the same keys for an order and its buyer, whether their values are raw or hashed."""
    person = {"em": "Ada@mail.example", "external_id": "A-7", "ph": "+49 30 123456"}
    told_by_page = seen(
        event(id="order-shop-1001", data={"order_id": "1001"}), match={"1234567890": person}, fbp=FBP + ".AQQCAQMC"
    )
    user_data = {"em": [hashed("ada@mail.example")], "external_id": ["a-7"], "ph": ["004930123456"], "fbp": FBP}
    told_by_server = told(event_id="order-shop-1001", user_data=user_data, custom_data=_bought("1001"))

    ours, theirs = told_by_page.keys, join_of(told_by_server).keys
    shared = set(ours) & set(theirs)
    assert {kind for kind, _ in shared} == set(JoinKind) - {JoinKind.CHECKOUT, JoinKind.NUMBER}
    assert set(ours) - shared == {each for each in ours if each[0] is JoinKind.NUMBER}


def _bought(order_id: Any) -> dict[str, Any]:
    return {"value": 12.5, "currency": "EUR", "order_id": order_id}


@pytest.mark.parametrize(
    ("of_page", "of_server", "are_same"),
    [
        ("1001", "1001", True),
        (" 1001 ", "1001", True),
        (1001, "1001", True),
        ("#1001", "1001", False),
        ("0001001", "1001", False),
        ("a1001", "A1001", False),
    ],
)
def test_orders_are_compared_as_text(of_page: Any, of_server: Any, *, are_same: bool) -> None:
    """Surrounding blanks make no difference; signs, leading zeros and case do."""
    ours = seen(event(data={"order_id": of_page})).keys
    theirs = join_of(told(custom_data=_bought(of_server))).keys

    assert (values(ours, JoinKind.ORDER) == values(theirs, JoinKind.ORDER)) is are_same


@pytest.mark.parametrize(
    "order",
    ["", "0", "000", "undefined", "null", "{{order_id1}}", "${order.id}1", "ada.l0velace@mail.example", "1" * 201, None,
     True, 12.5, ["1001"], {"id": "1001"}],
)  # fmt: skip
def test_what_is_no_order_makes_no_key(order: Any) -> None:
    """A placeholder, contact data or another type as order id makes no key.

    Many visits have the same placeholder, and digests of contact data must not be stored as those of an order.
    """
    assert JoinKind.ORDER not in kinds(seen(event(data={"order_id": order})).keys)
    assert JoinKind.ORDER not in kinds(page(event(data={"order_id": order}), gpc=True).sightings[0].keys)


@pytest.mark.parametrize("identity", ["purchase", "undefined", "ID"])
def test_a_constant_is_no_id_of_an_event(identity: str) -> None:
    """An id that a page gives to all its events makes no key, since it would join all its visitors."""
    assert JoinKind.EVENT not in kinds(seen(event(id=identity)).keys)


def test_events_of_different_names_are_no_copies() -> None:
    """Two events of different names may have one id, such as a checkout and its Purchase, and are not joined by it."""
    checkout, purchase = (seen(event(name, id="7")).keys for name in ("InitiateCheckout", "Purchase"))

    assert values(checkout, JoinKind.EVENT) != values(purchase, JoinKind.EVENT)


@pytest.mark.parametrize(
    ("path", "token"),
    [
        (f"/checkouts/{TOKEN}", TOKEN),
        (f"/checkouts/cn/{TOKEN}/thank-you", TOKEN),
        (f"/checkouts/cn/{TOKEN}/en-de/thank-you?x=1#y", TOKEN),
        (f"/checkouts/c/{TOKEN}/post_purchase", TOKEN),
        (f"/12345678/checkouts/{TOKEN}/thank_you", TOKEN),
        (f"/checkouts/cn/hWN{'aZ-_' * 4}1?auto_redirect=false", "hWN" + "aZ-_" * 4 + "1"),
        (f"/?next=/checkouts/{TOKEN}", ""),
        (f"/#/checkouts/{TOKEN}", ""),
        ("/checkouts/how-our-checkout-works", ""),
        ("/checkouts/1234", ""),
        ("/checkout/" + TOKEN, ""),
        ("/checkouts/" + "a1" * 65, ""),
    ],
)
def test_the_checkout_is_known_by_its_page(path: str, token: str) -> None:
    """Shopify's addresses of checkout and thank-you page hold the token that its webhook calls ``checkout_token``."""
    found = values(seen(event(), url=f"https://shop.example{path}").keys, JoinKind.CHECKOUT)
    hit = ServerHit(0, "Purchase", "7", NOW // 1000, "website", {"em": ("a@b.example",)}, _bought("1"), checkout=TOKEN)

    assert found == ({key(JoinKind.CHECKOUT, token)[1]} if token else set())
    assert values(join_of(hooked(hit)).keys, JoinKind.CHECKOUT) == {key(JoinKind.CHECKOUT, TOKEN)[1]}


@pytest.mark.parametrize(
    ("path", "data", "site", "order"),
    [
        ("/checkout/order-received/1234/?key=wc_order_x", {}, {}, "1234"),
        ("/kasse/order-received/1234", {}, {}, "1234"),
        ("/?page_id=7&order-received=1234&key=x", {}, {}, "1234"),
        ("/checkout/order-received/1234/", {"order_id": "99"}, {}, "99"),
        ("/checkout/order-received/1234/", {"order_id": "undefined"}, {}, "1234"),
        ("/checkout/order-received/1234/", {}, {"webhook": [WOOCOMMERCE]}, "1234"),
        ("/checkout/order-received/1234/", {}, {"webhook": [WOOCOMMERCE | {"order_id": "number"}]}, ""),
        ("/checkout/order-received/1234/", {}, {"sensitive": "restricted"}, ""),
        ("/checkout/order-received/0/", {}, {}, ""),
        ("/checkout/order-received/12a/", {}, {}, ""),
        ("/order-received/" + "1" * 21, {}, {}, ""),
        ("/order-received/12x/order-received/1234", {}, {}, "1234"),
        ("/?x=order-received&order-received=12x&order-received=1234", {}, {}, "1234"),
        ("/my-order-received/1234?no-order-received=1234", {}, {}, ""),
        ("/#/order-received/1234/", {}, {}, ""),
    ],
)
def test_a_thank_you_page_names_its_order(path: str, data: Any, site: dict[str, Any], order: str) -> None:
    """The order number in the address of WooCommerce's thank-you page makes a key, if nothing else names the order.

    It does so only for a shop whose orders are known by that number.
    """
    decision = page(event(data=data), url=f"https://shop.example{path}", shop=policy(**site))
    (sighting,), (record,) = decision.sightings, decision.records
    of_server = told(policy(**site), custom_data=_bought(None) | data, event_source_url=f"https://shop.example{path}")

    expected = {key(JoinKind.ORDER, order)[1]} if order else set()
    assert values(sighting.keys, JoinKind.ORDER) == values(join_of(of_server).keys, JoinKind.ORDER) == expected
    assert record.order == of_server.order
    assert bool(record.order) == bool(order)


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "guest", "Guest", "GUEST", "null", "undefined", "none", "None", "nan", "NaN", "anonymous", "user",
     "[object Object]", "n/a", "(not set)", "00000000-0000-0000-0000-000000000000", ""],
)  # fmt: skip
def test_the_id_of_whoever_has_none_makes_no_key(text: str) -> None:
    """A placeholder for a missing account makes no key, be it raw or hashed."""
    for identity in (text, hashed(text)):
        user_data = {"em": ["ada@mail.example"], "external_id": [identity]}
        assert kinds(join_of(told(user_data=user_data)).keys) == [JoinKind.EVENT, JoinKind.EMAIL]
        keys = seen(event(), match={"1234567890": {"external_id": identity}}).keys
        assert JoinKind.ACCOUNT not in kinds(keys)


@pytest.mark.parametrize(
    ("text", "is_nobodys"),
    [
        ("noreply@shop.example", True),
        ("no-reply@shop.example", True),
        ("info@www.shop.example", True),
        ("guest@example.com", True),
        ("test@test.com", True),
        ("ada@shop.example", False),
        ("noreply@other.example", False),
        ("x7f2q9@marketplace.amazon.example", False),
    ],
)
def test_a_mailbox_of_the_shop_is_nobodys(text: str, *, is_nobodys: bool) -> None:
    """A mailbox of the shop is recognised by its hash and makes no key; a marketplace's address for one buyer does."""
    assert is_placeholder_mail(hashed(text), ("www.shop.example",)) is is_nobodys
    user_data = {"em": [text], "client_user_agent": "x"}
    shop = policy(domains=["www.shop.example"])
    assert (JoinKind.EMAIL in kinds(join_of(told(shop, user_data=user_data)).keys)) is not is_nobodys


def test_a_proxy_of_many_shops_hashes_their_mailboxes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing a shop's mailboxes takes nearly a millisecond, so the hashes of a hundred shops are kept."""
    shops = [(f"shop-{number}.example",) for number in range(100)]
    before = [is_placeholder_mail(hashed(f"info@{host}"), (host,)) for (host,) in shops]
    monkeypatch.delattr(placeholders, "_hash")

    assert before == [is_placeholder_mail(hashed(f"info@{host}"), (host,)) for (host,) in shops] == [True] * 100
    assert not is_placeholder_mail(hashed("info@shop-1.example"), ("shop-2.example",))


@pytest.mark.parametrize("number", ["0", "0000000000", "1234567890", "999999999999999"])
def test_a_number_of_nobody_is_no_key(number: str) -> None:
    """Made-up numbers are recognised by their hashes, of which the numbering plans tell nothing."""
    assert is_placeholder_phone(hashed(number))
    assert not is_placeholder_phone(hashed("4930123456"))


@pytest.mark.parametrize("identity", ["1", "4711", "guest-4711", "00000000-0000-0000-0000-000000000001"])
def test_an_account_is_somebodys(identity: str) -> None:
    """Small numbers and ids that merely begin like a placeholder are accounts."""
    assert not is_placeholder_id(hashed(identity))


def test_a_page_leaves_keys_of_the_current_secret_and_a_server_asks_under_all() -> None:
    """A key that was left before a secret was rotated is found after it."""
    before = seen(event(data={"order_id": "1"}), shop=policy((OLD_SECRET,)))
    after = seen(event(data={"order_id": "1"}), shop=policy((SECRET, OLD_SECRET)))
    asked = join_of(told(policy((SECRET, OLD_SECRET)), custom_data=_bought("1"))).keys

    assert {key(JoinKind.ORDER, "1", OLD_SECRET)} == set(asked) & set(before.keys)
    assert {key(JoinKind.ORDER, "1", SECRET)} == set(asked) & set(after.keys)


def test_the_number_of_a_visitor_is_no_account() -> None:
    """A page's sighting has the visitor number as key but no account; a server's id is looked up as both."""
    keys = seen(event()).keys
    asked = join_of(told(user_data={"external_id": ["A-7"]})).keys

    assert kinds(keys) == [JoinKind.EVENT, JoinKind.BROWSER, JoinKind.NUMBER]
    assert kinds(asked) == [JoinKind.EVENT, JoinKind.NUMBER, JoinKind.ACCOUNT]


NAMED = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(JoinKind), st.text(max_size=8))


@given(NAMED, NAMED)
def test_sites_kinds_and_values_share_no_key(
    ours: tuple[str, JoinKind, str], theirs: tuple[str, JoinKind, str]
) -> None:
    """Two keys are equal only if site, kind and value are."""
    (key_of_ours,), (key_of_theirs,) = (
        join_keys(site, [(kind, value)], (SECRET,)) for site, kind, value in (ours, theirs)
    )

    assert (key_of_ours == key_of_theirs) is (ours == theirs)
    assert len(key_of_ours[1]) == JOIN_KEY
