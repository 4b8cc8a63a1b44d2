"""The record of a server's event that passed: without what may not leave, with an id that a repeat gets too."""

from hashlib import blake2b

import orjson
from msgspec.structs import replace

from proxy.graph import payload
from proxy.model.event import Event, Redaction
from proxy.model.order import order_key
from proxy.model.request import Visit
from proxy.rules import facts
from proxy.rules.joins.waits import join_of, not_before
from proxy.rules.orders import is_order_id, order_event_id, order_of, received_order
from proxy.rules.payload.pages import clean_page
from proxy.rules.payload.redact import clean_data
from proxy.rules.payload.secret_shapes import shape_of
from proxy.rules.server_case import ServerEventCase
from proxy.rules.server_members import clean_members

_ID_BYTES = 16


def write_record(event_case: ServerEventCase) -> None:
    """Redact the event, give it an id if it has none, and write its record."""
    case = event_case.case
    event = _event(event_case)
    if not event.id:
        event = replace(event, id=_order_id(event_case) or _content_id(event_case, event))
    pending = join_of(event_case, event)
    record = payload.server_record(event, case.request.fields)._replace(
        order=_order(event_case, event),
        not_before=not_before(event_case, event, pending),
        pending=pending,
        facts=facts.with_data(
            facts.facts_of_server(case.policy, event.user_data), event.custom_data, facts.words(event_case.redactions)
        ),
        arrived=case.request.now,
    )
    case.records.append(record)
    case.written += len(record.payload)


def _event(event_case: ServerEventCase) -> Event:
    case, hit, effort = event_case.case, event_case.hit, event_case.effort
    site, allowed = case.policy.site, case.policy.allowed
    data, removed, _ = clean_data(event_case.data, allowed, effort)
    visit = Visit(sent=0, url=hit.url, referrer=hit.referrer)
    page = clean_page(visit, site.sensitive, allowed, effort)
    more, others_removed = clean_members(hit.more, site.sensitive, allowed, effort)
    event_case.redactions = [Redaction(what, "custom_data") for what in removed]
    event_case.redactions += [*page.redactions, *others_removed]
    case.redactions += event_case.redactions
    return Event(
        pixel=case.pixel.id,
        name=hit.name,
        id=hit.id,
        time_s=event_case.time_s,
        url=page.url,
        referrer=page.referrer,
        user_data=event_case.person.user_data,
        custom_data=data,
        options=event_case.options,
        action_source=hit.action_source,
        findings=hit.findings + event_case.person.findings + event_case.findings + _missing(event_case, page.url),
        person_digests=event_case.person.digests,
        opt_out=hit.opt_out,
        more=more,
    )


def _missing(event_case: ServerEventCase, url: str) -> tuple[str, ...]:
    """Return findings for what Meta requires of a website's event, but Graph does not [server event parameters]."""
    if event_case.hit.action_source != "website":
        return ()
    agent = event_case.person.user_data.get("client_user_agent")
    required = {"event_source_url:missing": url, "client_user_agent:missing": agent}
    return tuple(finding for finding, value in required.items() if not value)


def _order(event_case: ServerEventCase, event: Event) -> bytes:
    """Return the order keys by which the event is counted once for weeks; empty if it may come often for an order.

    An order id that names a person was redacted, here as in a page's event, so no digest of it is stored.
    """
    hit, policy = event_case.hit, event_case.case.policy
    site, data = policy.site.name, event.custom_data
    if hit.orders:
        return b"".join([order_key(site, name, order) for name, order in hit.orders])
    if "order_id" not in data and (order := _own_order(event_case)):
        data = {**data, "order_id": order}  # it is not sent, but the event is counted once by it all the same
    return order_of(site, hit.name, data, received_order(hit.url) if policy.reads_order_pages else "")


def _order_id(event_case: ServerEventCase) -> str:
    """Return the id of an order's Purchase, as the tag gives it to the page's copy; "" for any other event."""
    order = _own_order(event_case)
    return order_event_id(event_case.case.policy.site.name, order) if order else ""


def _own_order(event_case: ServerEventCase) -> str:
    """Return the order id of a Purchase; "" if it has none, or one that is personal data."""
    order = event_case.order_id
    return "" if not is_order_id(order) or shape_of(order, event_case.effort, is_id=True) else order


def _content_id(event_case: ServerEventCase, event: Event) -> str:
    """Return an id made of the event's content, and of how many events before it in its request have the same content.

    The digest is keyed, since it is stored in plain text and made of hashed contact data. The lists of match keys are
    sorted: one of Meta's SDKs writes them in another order each time.
    """
    keys = {key: sorted(value) if isinstance(value, list) else value for key, value in event.user_data.items()}
    told = (event.name, event.time_s, event.action_source, event.url, keys, event.custom_data, event.more)
    person_keys = event_case.case.policy.person_keys
    content = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    digest = blake2b(content, digest_size=_ID_BYTES, key=person_keys[0] if person_keys else b"").digest()
    before = event_case.case.alike.get(digest, 0)
    event_case.case.alike[digest] = before + 1
    return f"{digest.hex()}-{before}" if before else digest.hex()
