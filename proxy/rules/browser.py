"""What happens to a browser's request, step by step: ``BrowserRequest`` → ``Decision``.

Read the lists below first. Each step is a function of the request, or the event, so far; each reason to drop an event
is named at its step. Nothing here touches a socket, a clock or a disk, so the HTTP front can be exchanged without
touching a rule.

A fault in one event costs that event alone. A large request is worked on in parts, so that others have their turn.
"""

from proxy.model.decision import Decision
from proxy.model.event import DropReason
from proxy.model.ledger import LedgerRow
from proxy.model.request import BrowserRequest, RefusedEvent
from proxy.rules import event_steps, limits, written_events
from proxy.rules.case import Case, EventStep, RequestStep
from proxy.rules.effort import UNITS_PER_PAIR, Parts, run_parts
from proxy.rules.faults import fault
from proxy.rules.identity import steps as identity_steps
from proxy.rules.payload.labels import public_updates
from proxy.rules.permission import steps as permission_steps
from proxy.rules.policy import Policy
from proxy.rules.request import steps as request_steps
from proxy.rules.wire_members import Malformed

REQUEST_STEPS = (
    RequestStep("decode, address, cookies", request_steps.read_request),
    RequestStep("earlier words, machine, permission", permission_steps.decide_permission),
    RequestStep("visitor, suppressions, ids, visitor cookie", identity_steps.identify_browser),
)
"""Once for a request: what came, what it may do, and who it is."""
EVENT_STEPS = (
    EventStep("name and id", event_steps.name_and_id, always=True),
    EventStep("pixels", event_steps.pixels, (DropReason.UNKNOWN_PIXEL,), always=True),
    EventStep(
        "permission",
        event_steps.permission,
        (DropReason.GPC, DropReason.DNT, DropReason.OPTED_OUT, DropReason.NO_CONSENT, DropReason.BOT),
    ),
    EventStep("contact data", event_steps.contact_data, (DropReason.CONTACT_DATA,)),
    EventStep("time", event_steps.time, (DropReason.TOO_OLD,)),
    EventStep("selection", event_steps.selection, (DropReason.EXCLUDED, DropReason.RESTRICTED)),
    EventStep("custom data", event_steps.custom_data, (DropReason.MISSING_VALUE, DropReason.MISSING_CURRENCY)),
    EventStep("match keys", event_steps.match_keys, (DropReason.LITTLE_IDENTITY,)),
    EventStep("redaction, event, record, sighting", written_events.write_event, always=True),
)
"""For each event. A drop ends it for one pixel or for all; what is left of it, and its drops, are recorded together."""
IMAGE_STEPS = (RequestStep("page view, address, cookies", request_steps.read_image_request), *REQUEST_STEPS[1:])
"""Once for the ``<noscript>`` image, which has no body: a PageView of the page named by the Referer."""
# Up to so many events of a request cost no effort by themselves.
_FEW = 10


def ingest(request: BrowserRequest, policy: Policy) -> Decision:
    """Judge one request to the collect address at a stretch; see ``ingest_parts``."""
    return run_parts(ingest_parts(request, policy))


def ingest_image(request: BrowserRequest, policy: Policy) -> Decision:
    """Judge one request to the image, for every pixel of the site; nothing raises."""
    return run_parts(ingest_parts(request, policy, IMAGE_STEPS))


def ingest_parts(
    request: BrowserRequest, policy: Policy, steps: tuple[RequestStep, ...] = REQUEST_STEPS
) -> Parts[Decision]:
    """Judge one request, in parts if it is large; nothing raises.

    Args:
        request: The request.
        policy: What the configuration says of its site.
        steps: What happens to it before its events are looked at.
    """
    try:
        case = Case(request, policy)
        case.run_steps(steps)
        yield from events_in_parts(case)
        return decision(case)
    except Malformed as error:
        return Decision(unreadable=str(error), is_too_large=len(request.body) > limits.BODY)
    except Exception as error:  # noqa: BLE001 - sent again it would fail again, so the tag is told to give up
        return Decision(unreadable="cannot be read", faults=(fault(error),))


def events_in_parts(case: Case) -> Parts[None]:
    """Take each event through its steps, in order; pause after each part of ``limits.PART`` pairs.

    What many pairs cost is taken from the request's effort, so that less is left for reading odd texts.
    """
    hits = case.visit.hits
    if len(hits) > _FEW:
        case.effort.has_many_events = True
        case.effort.left -= UNITS_PER_PAIR * sum([len(hit.pixels) for hit in hits])
    pairs = 0
    for hit in hits:
        if pairs > limits.PART:
            pairs = 0
            yield
        pairs += len(hit.pixels)
        event_steps.run_event_steps(case, hit, EVENT_STEPS)


def decision(case: Case) -> Decision:
    """Return the decision about a request, after all its steps."""
    visit = case.visit
    if case.unknown_pixel:
        case.dropped.insert(0, _summary_row(case.unknown_pixel, case.unknown_pixels))
    refusals = _in_order(visit.refused, case.refused) if case.refused else visit.refused
    has_updates = visit.copy_updates != ()
    return Decision(
        records=tuple(case.records),
        dropped=tuple(case.dropped),
        copy_updates=public_updates(visit.copy_updates, case.effort) if has_updates else (),
        withdrawn=case.withdrawn,
        granted=case.granted,
        cookies=case.set_cookies,
        refusals=refusals,
        surplus=visit.surplus,
        refused=len(refusals) + visit.surplus,
        taken=len(visit.hits) - len(case.refused),
        unknown_pixels=case.unknown_pixels,
        visitors=_visitors(case) if has_updates else (),
        pixels=case.policy.pixel_ids,
        redactions=tuple(case.redactions),
        untrusted_forwarding=case.request.client.untrusted_forwarding,
        gpc=case.gpc,
        sightings=case.sightings,
        faults=tuple(case.faults),
    )


def _summary_row(row: LedgerRow, events: int) -> LedgerRow:
    """Return one row for all events of unlisted pixels, and their number: made-up ids must not fill the ledger."""
    return row._replace(findings=(f"events:{events}",)) if events > 1 else row


def _in_order(undecoded: tuple[RefusedEvent, ...], refused: list[RefusedEvent]) -> tuple[RefusedEvent, ...]:
    return tuple(sorted([*undecoded, *refused], key=lambda event: event.index))


def _visitors(case: Case) -> tuple[bytes, ...]:
    """Return the visitor who sends updates of browser copies: by its id, and as it was known before it had an id."""
    return tuple(dict.fromkeys((case.visitor, identity_steps.visitor_of("", case.address, case.user_agent))))
