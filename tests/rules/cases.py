"""Requests at the moment before their first event is judged, for tests of the steps of events."""

from typing import Any

from proxy.config.schema import Site
from proxy.model.event import BrowserCopy, Event
from proxy.model.request import BrowserRequest, Client, Hit, Visit
from proxy.rules import event_steps, written_events
from proxy.rules.browser import EVENT_STEPS
from proxy.rules.case import Case, EventCase
from proxy.rules.identity.browser_ids import BrowserIds
from proxy.rules.identity.steps import visitor_of
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.policy import Policy
from proxy.rules.request.sites import CookieScope

NOW = 1_764_000_000_000
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0"
ADDRESS = "93.184.216.34"
FBP = "fb.1.1700000000000.1"
FBC = "fb.1.1700000000000.abc"
KEYS = VisitorCookieKeys("a secret for tests that is long enough")


def site(**changes: Any) -> Site:
    pixels = [
        {"id": "123", "access_token": "t"},
        {"id": "456", "access_token": "t"},
        {"id": "789", "access_token": "t", "events": ["Purchase", "Lead", "!Lead"]},
    ]
    usual = {"name": "shop", "domains": ["shop.example"], "pixel": pixels}
    return Site.model_validate(usual | changes, context={"resolve": str})


def hit(**changes: Any) -> Hit:
    usual: dict[str, Any] = {"name": "PageView", "id": "id-1", "at": NOW, "pixels": ("123",), "data": {}}
    return Hit(**(usual | {"browser_copy": BrowserCopy.FIRED} | changes))


def case_of(*hits: Hit, **changes: Any) -> Case:
    """Return a visit to a shop; ``changes`` replace members of the case, or of its visit where they are the visit's."""
    visit: dict[str, Any] = {"sent": NOW, "url": "https://shop.example/p?x=1&utm_source=fb", "fbp": FBP, "hits": hits}
    visit |= {key: changes.pop(key) for key in ("sent", "url", "referrer", "fbp", "match") if key in changes}
    request = BrowserRequest(now=NOW, entropy=1, client=Client(ADDRESS, public=True))
    usual: dict[str, Any] = {
        "visit": Visit(**visit),
        "ids": BrowserIds(FBP, FBC, ()),
        "address": ADDRESS,
        "user_agent": AGENT,
        "scope": CookieScope(at_home=True, domain="shop.example", secure=True),
    }
    policy = Policy(changes.pop("site", site()), KEYS)
    case = Case(request, policy, **(usual | changes))
    case.visitor = visitor_of(case.visit.fbp, case.address, case.user_agent)
    return case


def judged(case: Case, claimed: Hit) -> EventCase:
    """Take an event through all steps except the last, which records it."""
    event_case = EventCase(case, claimed)
    for step in EVENT_STEPS[:-1]:
        if event_case.pixels or step.always:
            step.run(event_case)
    if event_case.pixels:
        written_events.redaction(event_case)
    return event_case


def events_of(event_case: EventCase) -> list[Event]:
    """Return the event for each of its pixels."""
    return [written_events.event(event_case, pixel.id) for pixel in event_case.pixels]


def taken(case: Case) -> Case:
    """Take all events through all steps."""
    for claimed in case.visit.hits:
        event_steps.run_event_steps(case, claimed, EVENT_STEPS)
    return case
