"""May this visit's events leave at all? The first step of every request."""

from proxy.model import Consent, DropReason, Visit
from proxy.settings import Site


def signals_gpc(header: str, visit: Visit) -> bool:
    """Tell whether Global Privacy Control is on: exactly ``1`` in one of the headers, or the tag's word.

    The tag counts too, because CDNs drop headers they do not know (W3C, Global Privacy Control).
    """
    return visit.gpc or "1" in (value.strip() for value in header.split(","))


def forbids(site: Site, visit: Visit, *, gpc: bool, located: bool, bot: bool) -> DropReason | None:
    """Return why nothing of this visit may leave, or None.

    ``located``: a public address is known. Limited Data Use leaves the choice of law to Meta, which needs one.
    """
    if gpc and (site.gpc == "drop" or (site.gpc == "ldu" and not located)):
        return DropReason.GPC
    if visit.consent is Consent.REVOKED or (site.consent == "required" and visit.consent is not Consent.GRANTED):
        return DropReason.NO_CONSENT
    return DropReason.BOT if bot and site.bots == "drop" else None


def options(site: Site, visit: Visit, *, gpc: bool) -> tuple[tuple[str, ...], int, int] | None:
    """Return the data processing options of the visit's events: Limited Data Use for GPC where the site says so.

    Country and state 0 let Meta locate the event by its address (Meta, data processing options).
    """
    if gpc and site.gpc == "ldu":
        return ("LDU",), 0, 0
    return visit.dpo
