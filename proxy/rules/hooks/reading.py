"""A verified webhook → its events, for any kind of shop; and the ledger rows of events that Graph would refuse.

A shop cannot correct an event, and removes a webhook whose address answers with errors too often. So an event that
Graph would refuse is dropped here, with its reason, and not answered with an error.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.graph import law
from proxy.model.event import DropReason
from proxy.model.ledger import LedgerRow, Status
from proxy.model.order import order_key
from proxy.model.server_request import RefusedHit, ServerHit
from proxy.rules import facts
from proxy.rules.effort import Effort
from proxy.rules.hooks import shopify, stripe, woocommerce
from proxy.rules.hooks.hook import HookEvents, Shop
from proxy.rules.payload import labels
from proxy.rules.policy import Policy

_DROPS = {
    law.TOO_OLD: DropReason.TOO_OLD,
    law.NO_VALUE: DropReason.MISSING_VALUE,
    law.NO_CURRENCY: DropReason.MISSING_CURRENCY,
    law.LITTLE_IDENTITY: DropReason.LITTLE_IDENTITY,
}


def events_of(
    kind: str, topic: str, payload: Mapping[str, Any], shop: Shop, remembered: frozenset[str] = frozenset()
) -> HookEvents:
    """Return the events of a verified webhook.

    Args:
        kind: The kind of shop: ``shopify``, ``woocommerce`` or ``stripe``.
        topic: The topic that a header names; Stripe names it in the body.
        payload: The body.
        shop: The shop that sent it.
        remembered: Names in ``orders_before`` whose events were seen before.
    """
    match kind:
        case "shopify":
            return shopify.events(topic, payload, shop)
        case "woocommerce":
            return woocommerce.events(topic, payload, shop)
        case _:
            return stripe.events(payload, shop, remembered)


def orders_before(kind: str, payload: Mapping[str, Any], site: str) -> dict[bytes, str]:
    """Return which earlier events decide what a webhook means: their names, by the key of their order.

    Args:
        kind: The kind of shop.
        payload: The body.
        site: The name of the site.
    """
    orders = stripe.orders_before(payload) if kind == "stripe" else {}
    return {order_key(site, name, order): name for name, order in orders.items()}


def dropped_rows(
    hits: Sequence[ServerHit], refused: Sequence[RefusedHit], pixel: str, policy: Policy, *, now: int
) -> list[LedgerRow]:
    """Return the ledger rows of events that Graph would refuse.

    Args:
        hits: The events of a webhook.
        refused: Those of them that Graph would refuse.
        pixel: Which pixel they were for.
        policy: What the configuration says of their site.
        now: Server clock in milliseconds.
    """
    by_place = {hit.place: hit for hit in hits}
    rows = [_row(by_place[each.place], each, pixel, now) for each in refused if each.place in by_place]
    return [row._replace(facts=facts.facts_of_server(policy), arrived=now) for row in rows]


def _row(hit: ServerHit, refused: RefusedHit, pixel: str, now: int) -> LedgerRow:
    public = labels.without_contact_data(hit, Effort())
    unnamed = (f"{refused.field}:unusable",) if refused.field and refused.subcode not in _DROPS else ()
    return LedgerRow(
        at=now,
        pixel=pixel,
        name=public.name,
        id=public.id,
        time_s=hit.time_s,
        status=Status.DROPPED,
        reason=_DROPS.get(refused.subcode, DropReason.UNUSABLE),
        browser_copy=None,
        findings=(*unnamed, *labels.findings(public)),
        action_source=hit.action_source,
    )
