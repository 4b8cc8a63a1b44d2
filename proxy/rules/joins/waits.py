"""How long an event of an order waits before it is delivered: a page's event for the server's, and the reverse."""

from collections.abc import Iterator, Mapping
from typing import Literal

from proxy.graph.law import MAX_AGE_MS, max_age_ms
from proxy.model.event import Event
from proxy.model.join import Join, Twin
from proxy.rules import limits
from proxy.rules.case import EventCase
from proxy.rules.joins.keys import Claimed, Clue, join_keys, order_clues, person_clues
from proxy.rules.orders import ONCE_PER_ORDER, order_event_id, order_of
from proxy.rules.server_case import ServerEventCase

_HOUR_MS = 60 * 60 * 1000
# Action sources of events that a page may have sent too, and that a server sends at once.
_HAS_PAGES = frozenset({"website", "other", "system_generated"})
_TAKES: Mapping[str, Literal["all", "ids", "nothing"]] = {
    "website": "all",
    "app": "nothing",
    "business_messaging": "nothing",
}


def twin_of(event_case: EventCase) -> tuple[bytes, int, Twin | None]:
    """Return the order key of a page's event, when it may be delivered (server milliseconds), and what it waits for.

    An event that names no order cannot be matched with a server's event, so it does not wait: the time is 0.
    """
    case, name = event_case.case, event_case.hit.name
    site = case.policy.site
    order, settings = order_of(site.name, name, event_case.data, case.received_order), site.orders
    if not order:
        return order, 0, None
    is_held = settings.hold_until_paid and name == "Purchase"
    wait_ms = settings.hold_hours * _HOUR_MS if is_held else settings.wait_seconds * 1000
    if not wait_ms:
        return order, 0, None
    latest = event_case.time + MAX_AGE_MS - limits.DELIVERY_MS
    return order, min(case.request.now + wait_ms, latest), Twin(order, settings.after_hold if is_held else "")


def join_of(event_case: ServerEventCase, event: Event) -> Join | None:
    """Return how a server's event finds its visitor; None if it would gain nothing and may be sent without.

    Args:
        event_case: The event so far.
        event: The same event as it is sent.
    """
    policy = event_case.case.policy
    site, takes = policy.site, _TAKES.get(event.action_source, "ids")
    if takes == "nothing" and site.unknown_people == "send":
        return None
    keys = join_keys(site.name, _clues(event_case, event), policy.person_keys)
    if not keys and site.unknown_people == "send":
        return None
    return Join(site.name, keys, site.unknown_people, site.orders.join_days, takes)


def not_before(event_case: ServerEventCase, event: Event, join: Join | None) -> int:
    """Return when a server's event may be delivered (server milliseconds): 0 for at once, later if it may gain by that.

    It may gain if its page's copy can be on its way. A sender that gives the browser's id and an event id of its own
    has joined the two already. An id that is derived from the order's id is not its own: the page may have given its
    copy another.

    Args:
        event_case: The event so far.
        event: The same event as it is sent.
        join: How the event finds its visitor.
    """
    case = event_case.case
    site, now = case.policy.site, case.request.now
    is_made = not event_case.hit.id or event.id == order_event_id(site.name, event_case.order_id)
    may_gain = is_made or "fbp" not in event.user_data
    if (
        not join
        or not join.keys
        or not may_gain
        or event.name not in ONCE_PER_ORDER
        or event.action_source not in _HAS_PAGES
    ):
        return 0
    latest = event.time_s * 1000 + max_age_ms(event.action_source) - limits.DELIVERY_MS
    return min(now + site.orders.wait_seconds * 1000, latest) if site.orders.wait_seconds else 0


def _clues(event_case: ServerEventCase, event: Event) -> Iterator[Clue]:
    hit, policy = event_case.hit, event_case.case.policy
    is_named = hit.id or event.id == order_event_id(policy.site.name, event_case.order_id)
    identity = event.id if is_named else ""  # else it is made of the content, and no page knows it
    claimed = Claimed(hit.name, identity, event.custom_data, hit.url, hit.checkout)
    yield from order_clues(claimed, policy, event_case.effort)
    yield from person_clues(event.user_data, policy.site.domains)
