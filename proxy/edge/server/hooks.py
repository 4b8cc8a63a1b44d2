"""The doors for webhooks of shops: verify the signature over the bytes as they came, before they are parsed.

A shop removes a webhook that is answered with errors: WooCommerce after six, Shopify after eight. So a genuine webhook
that is of no interest is answered 200, and events that Graph would refuse are in the ledger with their reason.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from msgspec.structs import replace

from proxy.config.schema import Site, Webhook
from proxy.edge.arrival import Arrival
from proxy.edge.exchange import HttpAnswer
from proxy.edge.server import answers
from proxy.edge.server.working import work_in_turns
from proxy.edge.storing import DecisionStore
from proxy.edge.turns import Turns
from proxy.model.decision import Decision
from proxy.model.server_request import ServerHit, ServerRequest
from proxy.queue.contract import Intake, QueueError
from proxy.rules.fairness import ClientNetwork
from proxy.rules.hooks import reading, signatures
from proxy.rules.hooks.hook import HookEvents, Shop
from proxy.rules.json_text import parsed
from proxy.rules.policy import Policy
from proxy.rules.server import ingest_server
from proxy.telemetry.metrics import Metrics

_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
"""What WooCommerce sends, unsigned, when a webhook is saved; it must be answered exactly 200."""
_SIGNATURE = {"shopify": "x-shopify-hmac-sha256", "woocommerce": "x-wc-webhook-signature", "stripe": "stripe-signature"}
_TOPIC = {"shopify": "x-shopify-topic", "woocommerce": "x-wc-webhook-topic", "stripe": ""}
_IS_TEST = "x-shopify-test"
UNSIGNED = answers.GraphRefusal(
    401, "Invalid signature: none of the webhook's secrets made it", type="WebhookException"
)
PACKED = answers.GraphRefusal(415, "Invalid parameter: content-encoding: accepted: identity", type="WebhookException")
NO_JSON = answers.GraphRefusal(400, "Invalid parameter: body: not a JSON object", type="WebhookException")


class ConfiguredHook(NamedTuple):
    """A configured webhook, by which a shop reports its orders."""

    kind: str
    secrets: tuple[str, ...]
    """The secrets; a signature with any of them is accepted."""
    shop: Shop
    policy: Policy


def configured_hooks(policies: Mapping[str, Policy]) -> dict[tuple[str, str], ConfiguredHook]:
    """Return the webhooks of all sites, by the name of the site and the kind of shop."""
    return {
        (name, webhook.kind): _configured_hook(policy.site, webhook, policy)
        for name, policy in policies.items()
        for webhook in policy.site.webhook
    }


def _configured_hook(site: Site, webhook: Webhook, policy: Policy) -> ConfiguredHook:
    secrets = tuple(secret.get_secret_value() for secret in (webhook.secret, *webhook.old_secrets))
    shop = Shop(site.name, site.domains[0], webhook.order_id, webhook.content_id, webhook.renewal_event)
    return ConfiguredHook(webhook.kind, secrets, shop, policy)


class HookDoor:
    """Answers webhooks."""

    def __init__(  # noqa: PLR0913 - what a door needs
        self,
        hooks: Mapping[tuple[str, str], ConfiguredHook],
        *,
        queue: Intake,
        turns: Turns,
        store: DecisionStore,
        metrics: Metrics,
        clock_ns: Callable[[], int],
    ) -> None:
        """Open the doors.

        Args:
            hooks: By the name of the site and the kind of shop.
            queue: Knows which orders were seen before.
            turns: Decide which client's part of a request is next.
            store: Makes decisions durable.
            metrics: Counts the outcomes of webhooks.
            clock_ns: The server's clock in nanoseconds.
        """
        self._hooks = hooks
        self._queue = queue
        self._turns = turns
        self._store = store
        self._metrics = metrics
        self._clock_ns = clock_ns

    def find_hook(self, site: str, kind: str) -> ConfiguredHook | None:
        """Return the webhook of a site and kind of shop; None when the site has none."""
        return self._hooks.get((site, kind))

    def check_head(self, hook: ConfiguredHook, arrival: Arrival) -> None:
        """Refuse a compressed or unsigned webhook before its body is read; WooCommerce's ping has no signature.

        Raises:
            answers.RefusedError: when the head has no signature, or says that the body is packed.
        """
        # No shop compresses what it signs, and a stranger's few kilobytes could unpack to megabytes to hash.
        if arrival.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            raise answers.RefusedError(PACKED)
        if hook.kind != "woocommerce" and not arrival.headers.get(_SIGNATURE[hook.kind]):
            self._metrics.webhook(hook.kind, "bad signature")
            raise answers.RefusedError(UNSIGNED)

    async def answer(self, hook: ConfiguredHook, arrival: Arrival, network: ClientNetwork, body: bytes) -> HttpAnswer:
        """Answer a webhook whose whole body has come.

        Args:
            hook: The webhook at whose address it came.
            arrival: Its head.
            network: The client that sent it.
            body: Its body, as it came.

        Raises:
            answers.RefusedError: when its signature is wrong, its body no JSON object, or it cannot be stored now.
        """
        now = self._clock_ns() // 1_000_000
        if not _is_genuine(hook, arrival, body, now // 1000):
            if hook.kind == "woocommerce" and _PING.fullmatch(body):
                return _accepted("ping")
            self._metrics.webhook(hook.kind, "bad signature")
            raise answers.RefusedError(UNSIGNED)
        found = await self._events(hook, arrival, body)
        if found.hits and not await self._try_store(hook, network, found.hits, now):
            raise answers.RefusedError(answers.NOT_STORED)
        self._metrics.webhook(hook.kind, found.why_not or "events")
        return _accepted(found.why_not)

    async def _events(self, hook: ConfiguredHook, arrival: Arrival, body: bytes) -> HookEvents:
        try:
            payload = parsed(body)
        except ValueError:
            payload = None
        if not isinstance(payload, dict):
            raise answers.RefusedError(NO_JSON)
        if arrival.headers.get(_IS_TEST, "").lower() == "true":
            return HookEvents(why_not="test order")
        remembered = await self._remembered(hook, payload)
        topic = arrival.headers.get(_TOPIC[hook.kind], "")
        return reading.events_of(hook.kind, topic, payload, hook.shop, remembered)

    async def _remembered(self, hook: ConfiguredHook, payload: Mapping[str, Any]) -> frozenset[str]:
        names = reading.orders_before(hook.kind, payload, hook.shop.site)
        if not names:
            return frozenset()
        try:
            met = [await self._queue.known_server_orders(pixel, names) for pixel in hook.policy.pixels]
        except QueueError as error:
            raise answers.RefusedError(answers.NOT_STORED) from error
        return frozenset(names[key] for keys in met for key in keys)

    async def _try_store(
        self, hook: ConfiguredHook, network: ClientNetwork, hits: Sequence[ServerHit], now: int
    ) -> bool:
        """Store for all pixels together: an order known to one pixel changes what a repeated webhook means to all."""
        decisions = []
        for pixel in hook.policy.pixels:
            request = ServerRequest(now, pixel=pixel, hits=tuple(hits))
            decided = await work_in_turns(self._turns, network, ingest_server(request, hook.policy))
            dropped = reading.dropped_rows(hits, decided.refused, pixel, hook.policy, now=now)
            decisions.append(replace(decided.decision, dropped=(*decided.decision.dropped, *dropped)))
        return await self._store.try_store(_merge_decisions(decisions), now)


def _merge_decisions(decisions: Sequence[Decision]) -> Decision:
    """Return the decisions for several pixels as one."""
    return Decision(
        records=tuple(record for each in decisions for record in each.records),
        dropped=tuple(row for each in decisions for row in each.dropped),
        taken=sum(each.taken for each in decisions),
        redactions=tuple(redaction for each in decisions for redaction in each.redactions),
        faults=tuple(fault for each in decisions for fault in each.faults),
    )


def _is_genuine(hook: ConfiguredHook, arrival: Arrival, body: bytes, now_s: int) -> bool:
    signature = arrival.headers.get(_SIGNATURE[hook.kind], "")
    match hook.kind:
        case "shopify":
            return signatures.is_shopify(body, signature, hook.secrets)
        case "woocommerce":
            return signatures.is_woocommerce(body, signature, hook.secrets)
        case _:
            return signatures.is_stripe(body, signature, hook.secrets, now_s=now_s)


def _accepted(why_not: str) -> HttpAnswer:
    body = orjson.dumps({"received": True, **({"ignored": why_not} if why_not else {})})
    return HttpAnswer(200, body, {"Content-Type": "application/json", "Cache-Control": "no-store"})
