"""Names and ids of events are stored and sent in the clear, so an event that has contact data there is dropped."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson
import pytest
from leak_samples import ENCODINGS

from proxy.config.schema import Site
from proxy.edge.collect import tag_answer
from proxy.model.decision import Decision
from proxy.model.event import DropReason
from proxy.model.request import BrowserRequest, Client, Consent
from proxy.rules.browser import ingest
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.policy import Policy

NOW = 1_764_000_000_000
REDACTED = "[redacted]"
CONTACTS = {
    "mail": "anna@mail.example",
    "mail in a sentence": "Lead of anna@mail.example",
    "mail, full-width sign": "anna\uff20mail.example",
    "telephone": "+49 30 1234567",
    "telephone, E.164": "tel:+493012345678",
    "account": "DE89370400440532013000",
}
# What shops and their plugins use for ids and names, some of which resemble phone numbers.
ORDINARY = [
    *("1002", "0301234567", "4930123456", "49301234567", "493012345678", "1764000000000", "4111111111111111", "#1002"),
    *("order-shop-1002", "order-shop-0049301234567", "gid://shopify/Order/5123456789012", "cs_live_a1B2c3D4e5F6g7H8"),
    *(
        str(UUID(int=2**127 + 12345)),
        f"{2**127:032x}",
        "ob3_plugin-set_7f3c",
        "Purchase.1764000000",
        "2026-11-25 12:00",
    ),
    *("Lead+1", "A+B", "50%", "100%_off", "a@b", "react@18.2.0", "logo@2x.png", "Größe", "購入", "+1", "+12345"),
]


def take(hits: list[dict[str, Any]], *, site: dict[str, Any] | None = None, gpc: str = "", **members: Any) -> Decision:
    usual = {"name": "shop", "domains": ["shop.example"], "pixel": [{"id": "1", "access_token": "t"}]}
    policy = Policy(Site.model_validate(usual | (site or {}), context={"resolve": str}), VisitorCookieKeys("s" * 32))
    wire = {"v": 1, "sent": NOW, "url": "https://shop.example/", "fbp": "fb.1.1.1", "events": hits} | members
    request = BrowserRequest(
        now=NOW,
        entropy=1,
        client=Client("93.184.216.34", public=True),
        host="t.shop.example",
        origin="https://shop.example",
    )
    return ingest(request._replace(body=orjson.dumps(wire), gpc=gpc), policy)


def hit(**changes: Any) -> dict[str, Any]:
    return {"name": "Lead", "id": "id-1", "at": NOW, "pixels": ["1"], "data": {}} | changes


@pytest.mark.parametrize("field", ["name", "id"])
@pytest.mark.parametrize("contact", CONTACTS.values(), ids=CONTACTS)
def test_contact_data_in_a_name_or_id_neither_rests_nor_leaves(contact: str, field: str) -> None:
    """The event is dropped with that reason, its neighbour is stored, and the ledger has ``[redacted]``."""
    outcome = take([hit(**{field: contact}), hit(id="id-2")])

    assert tag_answer(outcome).status == 204
    assert [record.id for record in outcome.records] == ["id-2"]
    (row,) = outcome.dropped
    assert (row.reason, getattr(row, field)) == (DropReason.CONTACT_DATA, REDACTED)
    assert row.findings == (f"event_{field}:unusable",)
    assert contact not in repr(outcome)


@pytest.mark.parametrize("write", ENCODINGS.values(), ids=ENCODINGS)
def test_encoded_contact_data_is_found(write: Any) -> None:
    """Percent-encoded and base64 contact data is recognised."""
    (row,) = take([hit(id=write("anna.schmidt@mail.example"))]).dropped

    assert (row.id, row.reason) == (REDACTED, DropReason.CONTACT_DATA)


DROPPED: list[tuple[dict[str, Any], DropReason]] = [
    ({"gpc": "1"}, DropReason.GPC),
    ({"site": {"consent": "required"}}, DropReason.NO_CONSENT),
    ({"consent": Consent.REVOKED}, DropReason.NO_CONSENT),
    ({"webdriver": True}, DropReason.BOT),
]


@pytest.mark.parametrize(("circumstances", "reason"), DROPPED)
@pytest.mark.parametrize("field", ["name", "id"])
def test_the_ledger_of_a_visit_that_may_not_be_measured_holds_nobody(
    circumstances: dict[str, Any], reason: DropReason, field: str
) -> None:
    """Whatever the reason of a drop, its ledger row has no contact data; nor has the row of an unknown pixel."""
    outcome = take([hit(**{field: "anna@mail.example"}), hit(id="b@mail.example", pixels=["9"])], **circumstances)

    assert {row.reason for row in outcome.dropped} == {reason, DropReason.UNKNOWN_PIXEL}
    assert "mail.example" not in repr(outcome)


@pytest.mark.parametrize("word", ORDINARY)
def test_ordinary_names_and_ids_stay(word: str) -> None:
    """An order number may resemble a phone number, a card or a key, and is still accepted."""
    (record,) = take([hit(id=word, name=word[:50])]).records

    assert (record.id, record.name) == (word, word[:50])


def test_news_of_such_events_is_not_kept() -> None:
    """A browser copy update is stored with the event's name and id, so it is ignored if those are contact data."""
    updates = [
        {"name": "Lead", "id": event_id, "pixel": "fired"}
        for event_id in ("id-1", "anna@mail.example", quote("a@b.de"))
    ]

    assert [update.id for update in take([], fates=updates).copy_updates] == ["id-1"]


def test_a_body_full_of_usual_ids_uses_up_nothing() -> None:
    """Hundreds of UUIDs, which resemble keys, leave the budget for the texts that have to be read."""
    texts = [f"call +49 30 123456{number}" for number in range(10, 70)]
    hits = [hit(id=str(UUID(int=number << 100)), data={"note": text}) for number, text in enumerate(texts)]
    outcome = take(hits)

    assert len(outcome.records) == len(texts)
    assert {redaction.what for redaction in outcome.redactions} == {"phone"}
