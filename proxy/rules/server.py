"""What happens to a server's request, step by step: ``ServerRequest`` → ``ServerDecision``.

Read the list below first. These steps use the same rules as those of a browser's request (``browser.py``), but there is
no visitor at the other end of the connection: there are no cookies and headers of a visitor, no machine is looked for,
and the sender's own address is never used.

An event that Graph would refuse is refused in Graph's words; at an endpoint like Graph's the first such event refuses
the whole request. A fault in one event costs that event alone. A large request is worked on in parts.
"""

from collections.abc import Iterable

from proxy.graph import law
from proxy.model.decision import Decision, ServerDecision
from proxy.model.event import DropReason
from proxy.model.server_request import RefusedHit, ServerHit, ServerRequest
from proxy.rules import facts, server_records, server_steps
from proxy.rules.effort import Parts, run_parts
from proxy.rules.faults import fault
from proxy.rules.policy import Policy
from proxy.rules.server_case import ServerCase, ServerEventCase, ServerStep
from proxy.rules.server_wire.claim import ServerClaim
from proxy.rules.server_wire.reading import MalformedRequestError, elements_of, read
from proxy.rules.server_wire.values import RefusedValueError

SERVER_STEPS = (
    ServerStep("time", server_steps.time, refuses=(law.TOO_OLD, law.IN_THE_FUTURE)),
    ServerStep("custom data", server_steps.custom_data, refuses=(law.NO_VALUE, law.NO_CURRENCY)),
    ServerStep("source", server_steps.source, refuses=(law.NO_MESSAGING_EVENT, law.NO_DEVICE)),
    ServerStep("match keys", server_steps.match_keys, refuses=(law.LITTLE_IDENTITY,)),
    ServerStep("contact data", server_steps.contact_data, (DropReason.CONTACT_DATA,)),
    ServerStep("permission", server_steps.permission),
    ServerStep("selection", server_steps.selection, (DropReason.EXCLUDED, DropReason.RESTRICTED)),
    ServerStep("redaction, event, record, join", server_records.write_record),
)
"""For each event: first what Graph would refuse, then what our settings forbid, then what is written."""
_PART, _PART_BYTES = 4, 4 * 1024
"""Events, and bytes of what is written of them, that are worked on at a stretch: about a millisecond."""


def ingest_claim(
    claim: ServerClaim, policy: Policy, *, pixel: str, now: int, is_all_or_nothing: bool
) -> Parts[ServerDecision]:
    """Judge what a request claims, in parts; nothing raises.

    Args:
        claim: What the first look at the body found; its access keys were checked.
        policy: What the configuration says of the site.
        pixel: The pixel that the address names; the site lists it.
        now: Server clock in milliseconds.
        is_all_or_nothing: Whether the first bad event refuses the whole request, as with Graph.
    """
    try:
        elements = yield from elements_of(claim)
    except MalformedRequestError as error:
        return ServerDecision(unreadable=str(error))
    except Exception as error:  # noqa: BLE001 - sent again it would fail again
        return ServerDecision(Decision(faults=(fault(error),)), unreadable="cannot be read")
    request = ServerRequest(now, pixel, fields=claim.fields, is_all_or_nothing=is_all_or_nothing)
    faults: list[str] = []
    # No event is kept once it is judged: freeing a thousand at once would take as long as a hundred browsers' requests.
    hits = (read(place, element, faults) for place, element in enumerate(elements))
    return (yield from _judged(request, policy, hits, faults))


def ingest_server(request: ServerRequest, policy: Policy) -> Parts[ServerDecision]:
    """Judge a request whose events are read already, such as those of a webhook, in parts; nothing raises."""
    claimed: list[ServerHit | RefusedHit] = [*request.hits, *request.refused]
    hits = sorted(claimed, key=lambda hit: hit.place)
    return (yield from _judged(request, policy, hits, []))


def ingest_server_whole(request: ServerRequest, policy: Policy) -> ServerDecision:
    """Judge a request without a pause; see ``ingest_server``."""
    return run_parts(ingest_server(request, policy))


def _judged(
    request: ServerRequest, policy: Policy, hits: Iterable[ServerHit | RefusedHit], faults: list[str]
) -> Parts[ServerDecision]:
    pixel = policy.pixels.get(request.pixel)
    if pixel is None:
        return ServerDecision(unreadable="pixel: not of this site; accepted: the id of one of its pixels")
    case = ServerCase(request, policy, pixel, faults=faults, facts=facts.facts_of_server(policy))
    number = paused = 0
    for number, hit in enumerate(hits, 1):
        if isinstance(hit, ServerHit):
            _run_event_steps(case, hit)
        else:
            case.refused.append(hit)
        if case.refused and request.is_all_or_nothing:
            break
        if case.written > _PART_BYTES or number - paused >= _PART:
            case.written, paused = 0, number
            yield
    return _decision(case, number)


def _run_event_steps(case: ServerCase, hit: ServerHit) -> None:
    """Take an event through its steps; an unforeseen error refuses this event only."""
    event_case = ServerEventCase(case, hit)
    try:
        for step in SERVER_STEPS:
            if not event_case.is_dropped:
                step.run(event_case)
    except RefusedValueError as error:
        case.refused.append(RefusedHit(hit.place, hit.id, str(error), subcode=error.subcode, field=error.field))
    except Exception as error:  # noqa: BLE001 - whatever one event brought must not cost its neighbours
        case.refused.append(RefusedHit(hit.place, hit.id, "cannot be read"))
        case.faults.append(fault(error))


def _decision(case: ServerCase, received: int) -> ServerDecision:
    request, refused, faults = case.request, tuple(case.refused), tuple(case.faults)
    if refused and request.is_all_or_nothing:
        return ServerDecision(Decision(faults=faults), received, refused, request.fields)
    decision = Decision(
        records=tuple(case.records),
        dropped=tuple(case.dropped),
        refused=len(refused),
        taken=received - len(refused),
        redactions=tuple(case.redactions),
        pixels=case.policy.pixel_ids,
        faults=faults,
    )
    return ServerDecision(decision, received, refused, request.fields)
