"""May this visit's events leave at all? The first step of every request."""

from proxy.config.schema import Site
from proxy.model.event import DropReason
from proxy.model.request import Consent, Visit
from proxy.rules.identity.visitor_cookie import VisitorCookie


def signals_gpc(header: str, visit: Visit) -> bool:
    """Tell whether Global Privacy Control is on: exactly ``1`` in one of the headers, or the tag's word.

    The tag counts too, because CDNs drop headers they do not know (W3C, Global Privacy Control).
    """
    return visit.gpc or signals_gpc_header(header)


def signals_gpc_header(header: str) -> bool:
    """Tell whether ``Sec-GPC`` says so, alone."""
    return header != "" and "1" in (value.strip() for value in header.split(","))


def signals_dnt(header: str) -> bool:
    """Tell whether the browser asks not to be tracked (W3C, Tracking Preference Expression, retired)."""
    return header.strip() == "1"


def forbids(  # noqa: PLR0913 - all that the answer hangs on
    site: Site, visit: Visit, kept: VisitorCookie, *, gpc: bool, dnt: bool, located: bool, bot: bool
) -> DropReason | None:
    """Return why nothing of this visit may leave, or None.

    ``located``: a public address is known. Limited Data Use leaves the choice of law to Meta, which needs one.
    """
    if gpc and (site.gpc == "drop" or (site.gpc == "ldu" and not located)):
        return DropReason.GPC
    if dnt and site.dnt == "drop":
        return DropReason.DNT
    if kept.opted_out:
        return DropReason.OPTED_OUT
    if not _is_permitted(site, visit, kept):
        return DropReason.NO_CONSENT
    return DropReason.BOT if bot and site.bots == "drop" else None


def _is_permitted(site: Site, visit: Visit, kept: VisitorCookie) -> bool:
    """A withdrawal holds until the page tells of a grant; a grant that was kept is no word of this page."""
    if visit.consent is Consent.UNKNOWN:
        return site.consent != "required" and kept.consent is not Consent.REVOKED
    return visit.consent is Consent.GRANTED


def options(site: Site, visit: Visit, *, gpc: bool) -> tuple[tuple[str, ...], int, int] | None:
    """Return the data processing options of the visit's events: Limited Data Use for GPC or always, by the site.

    Country and state 0 let Meta locate the event by its address (Meta, data processing options).
    """
    if gpc and site.gpc == "ldu":
        return ("LDU",), 0, 0
    if site.ldu and not (visit.dpo and visit.dpo[0]):
        return ("LDU",), 0, 0
    return visit.dpo
