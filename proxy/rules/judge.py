"""``Visit`` + what only the server knows → one ``Event`` per hit and pixel, or a named reason why not."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from proxy.config.schema import Pixel, Site
from proxy.graph.law import MAX_AGE_MS, STANDARD_EVENTS
from proxy.model.event import DropReason, Event, Redaction
from proxy.model.ledger import LedgerRow, Status
from proxy.model.request import BrowserRequest, Hit, Visit
from proxy.rules.effort import Effort
from proxy.rules.identity.browser_ids import BrowserIds
from proxy.rules.identity.person_digest import digests, number_hash
from proxy.rules.identity.visitor import match_keys
from proxy.rules.identity.visitor_cookie import NOTHING, VisitorCookie
from proxy.rules.match import keys
from proxy.rules.payload import labels
from proxy.rules.payload.custom_data import checked
from proxy.rules.payload.redact import clean_data, clean_url, limits_of, origin_of
from proxy.rules.request.sites import CookieScope

# Delivery needs time of its own, so what would be too old within the hour is not taken.
_ACCEPTED_AGE_MS = MAX_AGE_MS - 60 * 60 * 1000
_ALL = ("*",)
_RESTRICTED_DATA = ("value", "currency")


class Context(NamedTuple):
    """What is the same for every event of one request."""

    site: Site
    request: BrowserRequest
    visit: Visit
    ids: BrowserIds
    address: str
    """Empty unless it may be sent."""
    options: tuple[tuple[str, ...], int, int] | None
    bot: str | None
    """Why the visitor is held for a machine."""
    forbidden: DropReason | None
    """Set when nothing of the visit may leave."""
    scope: CookieScope
    effort: Effort
    visitor: bytes
    """Four bytes that tell visitors apart."""
    kept: VisitorCookie = NOTHING
    """What the visitor's keeper held until now."""
    visitor_cookie: VisitorCookie = NOTHING
    """What the visitor's keeper holds from now on."""
    sealed: str = ""
    """What the visitor's keeper held, as its cookie may be set again if that stays the same."""
    person_keys: Sequence[bytes] = ()
    """Under which people have digests."""


class _Page(NamedTuple):
    """What all events of a visit say alike."""

    url: str
    referrer: str
    findings: tuple[str, ...]


class Judged(NamedTuple):
    """What one hit comes to, pixel by pixel."""

    events: list[Event]
    dropped: list[LedgerRow]
    unknown: int
    """Pixels that the site does not list."""
    foreign: LedgerRow | None
    """The drop for the first of these."""


class Enricher:
    """Judges the hits of one request; what they share is worked out when the first of them needs it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pixels = {pixel.id: pixel for pixel in context.site.pixel}
        self._limits = limits_of(context.site.keep_url_params, context.site.block_keys)
        self._matched: dict[str, Matched] = {}
        self._page: _Page | None = None
        self.redactions: list[Redaction] = []
        """What the events so far would have leaked: of addresses once, of custom data once for each hit."""

    def judge(self, claimed: Hit) -> Judged:
        """Return an event for each pixel of a hit, or the ledger row of its drop."""
        context, time = self._context, _event_time(claimed, self._context)
        hit = labels.without_contact_data(claimed, context.effort)
        pixels = [pixel for one in hit.pixels if (pixel := self._pixels.get(one))]
        data, odd = _checked(context, hit) if pixels else (hit.data, ())
        clean: Mapping[str, Any] | None = None
        events, dropped = [], []
        for pixel in pixels:
            reason, findings = self._objection(hit, data, odd, pixel, time)
            if reason is not None:
                dropped.append(_dropped(context, hit, pixel.id, time, reason, findings=findings))
                continue
            clean = self._cleaned(data) if clean is None else clean
            page, who = self._page or self._read_page(), self._matched[pixel.id]
            events.append(_event(context, page, who, hit, clean, pixel_id=pixel.id, time=time, odd=odd))
        unknown = len(hit.pixels) - len(pixels)
        return Judged(events, dropped, unknown, self._foreign(hit, time) if unknown else None)

    def _foreign(self, hit: Hit, time: int) -> LedgerRow:
        pixel = next(one for one in hit.pixels if one not in self._pixels)
        return _dropped(self._context, hit, pixel, time, DropReason.UNKNOWN_PIXEL)

    def _objection(
        self, hit: Hit, data: Mapping[str, Any], odd: tuple[str, ...], pixel: Pixel, time: int
    ) -> tuple[DropReason | None, tuple[str, ...]]:
        """Return why an event is not sent to a pixel, if so, and the findings that led to it."""
        context = self._context
        reason = _drop_reason(context, hit, data, pixel, time)
        if reason is not None:
            return reason, _why(reason, context, hit, odd)
        who = self._matched.get(pixel.id)
        if who is None:
            who = self._matched[pixel.id] = _matched(context, pixel.id)
        return (DropReason.LITTLE_IDENTITY, who.findings) if who.too_little else (None, ())

    def _cleaned(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        if not data:
            return data
        cleaned = clean_data(data, self._limits, self._context.effort)
        if cleaned.removed:
            self.redactions += [Redaction(what, "custom_data") for what in cleaned.removed]
        clean: Mapping[str, Any] = cleaned.value
        return clean

    def _read_page(self) -> _Page:
        context, visit = self._context, self._context.visit
        findings = _bot(context) + visit.findings
        if context.site.sensitive == "restricted":
            self._page = _Page(origin_of(visit.url), "", findings)
            return self._page
        url, in_url = clean_url(visit.url, self._limits, context.effort)
        referrer, in_referrer = clean_url(visit.referrer, self._limits, context.effort)
        if in_url or in_referrer:
            self.redactions += [Redaction(what, "url") for what in in_url]
            self.redactions += [Redaction(what, "referrer") for what in in_referrer]
        self._page = _Page(url, referrer, findings)
        return self._page


def _checked(context: Context, hit: Hit) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the custom data of a hit that its site lets out, as Meta reads them, and what was odd about them."""
    given = hit.data
    if context.site.sensitive == "restricted":
        given = {key: given[key] for key in _RESTRICTED_DATA if key in given}
    return checked(hit.name, given)


def _dropped(  # noqa: PLR0913 - a row of the ledger has many columns
    context: Context, hit: Hit, pixel_id: str, time: int, reason: DropReason, *, findings: tuple[str, ...] = ()
) -> LedgerRow:
    return LedgerRow(
        at=context.request.now,
        pixel=pixel_id,
        name=hit.name,
        id=hit.id,
        time_s=time // 1000,
        status=Status.DROPPED,
        reason=reason,
        browser_copy=hit.browser_copy,
        findings=findings,
        visitor=context.visitor,
    )


def _why(reason: DropReason, context: Context, hit: Hit, odd: tuple[str, ...]) -> tuple[str, ...]:
    """Return the findings that led to a drop; of a visit that may not be measured nothing else is noted."""
    match reason:
        case DropReason.BOT:
            return _bot(context)
        case DropReason.MISSING_VALUE | DropReason.MISSING_CURRENCY:
            return odd
        case DropReason.CONTACT_DATA:
            return labels.findings(hit)
        case _:
            return ()


class Matched(NamedTuple):
    """Who the visitor is for one pixel."""

    user_data: Mapping[str, Any]
    person_digests: tuple[bytes, ...]
    too_little: bool
    findings: tuple[str, ...]


def _matched(context: Context, pixel_id: str) -> Matched:
    user_data, unusable = _user_data(context, pixel_id)
    return Matched(user_data, digests(user_data, context.person_keys), keys.too_little(user_data), unusable)


def _event_time(hit: Hit, context: Context) -> int:
    """Return when it happened by our clock: the browser's two times say how long ago, whatever its clock says."""
    now = context.request.now
    return min(now, now - (context.visit.sent - hit.at))


def _drop_reason(context: Context, hit: Hit, data: Mapping[str, Any], pixel: Pixel, time: int) -> DropReason | None:
    """Return the first reason not to send a hit with these data to this pixel."""
    if context.forbidden is not None or not labels.is_public(hit):
        return context.forbidden or DropReason.CONTACT_DATA
    if context.request.now - time > _ACCEPTED_AGE_MS:
        return DropReason.TOO_OLD
    if not wants(pixel.events, hit.name):
        return DropReason.EXCLUDED
    if context.site.sensitive == "restricted" and hit.name not in STANDARD_EVENTS:
        return DropReason.RESTRICTED
    return _incomplete(data) if hit.name == "Purchase" else None


def _incomplete(purchase: Mapping[str, Any]) -> DropReason | None:
    """Return what a Purchase lacks that Meta requires (custom data parameters; subcodes 2804009 and 2804011).

    Of a value without a currency in other events only a third party says that it is refused (2804023), so they are
    sent.
    """
    if "value" not in purchase:
        return DropReason.MISSING_VALUE
    return None if "currency" in purchase else DropReason.MISSING_CURRENCY


def wants(events: tuple[str, ...], name: str) -> bool:
    """Tell whether a pixel's ``events`` list includes a name; exclusions beat all, and alone they mean all others."""
    if events == _ALL:
        return True
    if f"!{name}" in events:
        return False
    only_exclusions = events != () and all(event.startswith("!") for event in events)
    return only_exclusions or "*" in events or name in events


def _user_data(context: Context, pixel_id: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the match keys of this visitor for one pixel: hashed contact data, and the plain keys of the request.

    Beside them, findings: which keys had a value of no use.
    """
    keys = match_keys(context.visit, pixel_id, context.request, context.site, context.effort)
    user_data: dict[str, Any] = {**keys.plain, **context.visitor_cookie.match, **keys.hashed}
    ids, request = context.ids, context.request
    if context.address:
        user_data["client_ip_address"] = context.address
    if request.user_agent:
        user_data["client_user_agent"] = request.user_agent
    user_data["fbp"] = ids.fbp
    if ids.fbc:
        user_data["fbc"] = ids.fbc
    if context.visitor_cookie.visitor:
        user_data["external_id"] = [*user_data.get("external_id", ()), number_hash(context.visitor_cookie.visitor)]
    if not keys.rejected and not keys.cut:
        return user_data, ()
    return user_data, (*(f"{key}:unusable" for key in keys.rejected), *(f"{key}:cut" for key in keys.cut))


def _event(  # noqa: PLR0913 - what is the visit's, the page's, the pixel's and the hit's
    context: Context,
    page: _Page,
    matched: Matched,
    hit: Hit,
    data: Mapping[str, Any],
    *,
    pixel_id: str,
    time: int,
    odd: tuple[str, ...],
) -> Event:
    return Event(
        pixel=pixel_id,
        name=hit.name,
        id=hit.id,
        time_s=time // 1000,
        url=page.url,
        referrer=page.referrer,
        user_data=matched.user_data,
        person_digests=matched.person_digests,
        custom_data=data,
        options=context.options,
        visitor=context.visitor,
        browser_copy=hit.browser_copy,
        mark=f"bot:{context.bot}" if context.bot else "",
        findings=page.findings + matched.findings + odd,
    )


def _bot(context: Context) -> tuple[str, ...]:
    return (f"bot:{context.bot}",) if context.bot else ()


def visitor_of(shown: str, address: str, user_agent: str) -> bytes:
    """Return four bytes that tell visitors apart.

    Args:
        shown: The browser's id, as the page or its cookie showed it; empty when it had none.
        address: The visitor's, by which with the user agent a visitor without an id is told.
        user_agent: As sent.
    """
    name = shown or f"{address} {user_agent}"
    return blake2b(name.encode(errors="replace"), digest_size=4).digest()
