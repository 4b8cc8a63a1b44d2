"""The addresses of a visit's page, and of the page before it: what of them may leave, and what was taken out."""

import msgspec

from proxy.model.event import Redaction
from proxy.model.request import Visit
from proxy.rules.effort import Effort
from proxy.rules.payload.addresses import REASONS, clean_urls, origin_of
from proxy.rules.payload.names import Allowed

_OF_URL, _OF_REFERRER = ({what: Redaction(what, place) for what in REASONS} for place in ("url", "referrer"))


class CleanPage(msgspec.Struct, frozen=True, gc=False):
    """What all events of a visit say of its page."""

    url: str
    referrer: str
    redactions: tuple[Redaction, ...] = ()


def clean_page(visit: Visit, sensitive: str, allowed: Allowed, effort: Effort) -> CleanPage:
    """Return what may leave of the addresses of a visit.

    Args:
        visit: What the page says.
        sensitive: The site's setting: ``"restricted"`` keeps only the origin.
        allowed: What else the site lets leave.
        effort: What is left of the request's budget.
    """
    if sensitive == "restricted":
        return CleanPage(origin_of(visit.url), "")
    page, *before = clean_urls((visit.url, visit.referrer) if visit.referrer else (visit.url,), allowed, effort)
    redactions = tuple([_OF_URL[what] for what in page.removed]) if page.removed else ()
    if not before:
        return CleanPage(page.url, "", redactions)
    if before[0].removed:
        redactions += tuple([_OF_REFERRER[what] for what in before[0].removed])
    return CleanPage(page.url, before[0].url, redactions)
