"""Whether a visit's events may leave at all, and under which data processing options."""

from proxy.config.schema import Site
from proxy.model.event import DropReason
from proxy.model.request import Consent, Options, Visit
from proxy.rules.identity.visitor_cookie import VisitorCookie

_LDU = (("LDU",), 0, 0)
"""Limited Data Use; country and state 0 let Meta locate the event by its address (Meta, data processing options)."""


def permission(  # noqa: PLR0913 - all that the answer hangs on
    site: Site, visit: Visit, cookie: VisitorCookie, *, gpc: bool, dnt: str, is_located: bool, is_bot: bool
) -> tuple[DropReason | None, Options | None]:
    """Return why nothing of a visit may leave (None if it may), and under which data processing options it may.

    Args:
        site: Its settings decide which signals count.
        visit: What the page says.
        cookie: The visitor cookie, with consent and opt-out of earlier visits.
        gpc: Whether Global Privacy Control is on.
        dnt: The header ``DNT``, or "".
        is_located: Whether a public address is known.
        is_bot: Whether the visitor is taken for a machine.
    """
    has_signal = gpc or dnt or cookie.opted_out or is_bot or site.ldu
    if not has_signal and _is_permitted(site, visit, cookie):  # as nearly all visits
        return None, visit.dpo
    has_dnt = dnt != "" and signals_dnt(dnt)
    forbidden = drop_reason(site, visit, cookie, gpc=gpc, dnt=has_dnt, located=is_located, bot=is_bot)
    return forbidden, options(site, visit, gpc=gpc)


def signals_gpc(header: str, visit: Visit) -> bool:
    """Tell whether Global Privacy Control is on: exactly ``1`` in one of the headers, or the tag saw it.

    The tag counts too, because CDNs drop headers they do not know (W3C, Global Privacy Control).
    """
    return visit.gpc or signals_gpc_header(header)


def signals_gpc_header(header: str) -> bool:
    """Tell whether the header ``Sec-GPC`` alone says that Global Privacy Control is on."""
    return header != "" and "1" in (value.strip() for value in header.split(","))


def signals_dnt(header: str) -> bool:
    """Tell whether the browser asks not to be tracked (W3C, Tracking Preference Expression, retired)."""
    return header.strip() == "1"


def drop_reason(  # noqa: PLR0913 - all that the answer hangs on
    site: Site, visit: Visit, cookie: VisitorCookie, *, gpc: bool, dnt: bool, located: bool, bot: bool
) -> DropReason | None:
    """Return why nothing of a visit may leave, or None.

    Args:
        site: Its settings decide which signals count.
        visit: What the page says.
        cookie: The visitor cookie, with consent and opt-out of earlier visits.
        gpc: Whether Global Privacy Control is on.
        dnt: Whether the browser asks not to be tracked.
        located: Whether a public address is known. Limited Data Use leaves the choice of law to Meta, which needs one.
        bot: Whether the visitor is taken for a machine.
    """
    if gpc and (site.gpc == "drop" or (site.gpc == "ldu" and not located)):
        return DropReason.GPC
    if dnt and site.dnt == "drop":
        return DropReason.DNT
    if cookie.opted_out:
        return DropReason.OPTED_OUT
    if not _is_permitted(site, visit, cookie):
        return DropReason.NO_CONSENT
    return DropReason.BOT if bot and site.bots == "drop" else None


def _is_permitted(site: Site, visit: Visit, cookie: VisitorCookie) -> bool:
    """Tell whether consent lets events leave: a withdrawal holds until a grant, a grant only on its own page."""
    if visit.consent is Consent.GRANTED:
        return True
    is_silent = visit.consent is Consent.UNKNOWN
    return is_silent and site.consent != "required" and cookie.consent is not Consent.REVOKED


def options(site: Site, visit: Visit, *, gpc: bool) -> Options | None:
    """Return the data processing options of the visit's events.

    Args:
        site: The site, which may want Limited Data Use always, or with Global Privacy Control.
        visit: What the page says, with its own options.
        gpc: Whether Global Privacy Control is on.
    """
    if gpc and site.gpc == "ldu":
        return _LDU
    if site.ldu and not (visit.dpo and visit.dpo[0]):
        return _LDU
    return visit.dpo
