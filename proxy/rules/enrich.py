"""``Visit`` + what only the server knows → one ``Event`` per hit and pixel, or a named reason why not."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from proxy.model import MAX_AGE_MS, DropReason, Event, Facts, Hit, LedgerRow, Redaction, Status, Visit
from proxy.rules import labels, pii
from proxy.rules.effort import Effort
from proxy.rules.identity import BrowserIds, Place, cookies_of
from proxy.rules.keeper import NOTHING, Keeper
from proxy.rules.people import digests
from proxy.rules.raw import sha256
from proxy.rules.redact import clean_data, clean_url, limits_of, origin_of
from proxy.rules.values import STANDARD_EVENTS, checked
from proxy.rules.visitor import match_keys
from proxy.settings import Pixel, Site

# Delivery needs time of its own, so what would be too old within the hour is not taken.
_ACCEPTED_AGE_MS = MAX_AGE_MS - 60 * 60 * 1000
_ALL = ("*",)
_RESTRICTED_DATA = ("value", "currency")


class Context(NamedTuple):
    """What is the same for every event of one request."""

    site: Site
    facts: Facts
    visit: Visit
    ids: BrowserIds
    address: str
    """Empty unless it may be sent."""
    options: tuple[tuple[str, ...], int, int] | None
    bot: str | None
    """Why the visitor is held for a machine."""
    forbidden: DropReason | None
    """Set when nothing of the visit may leave."""
    where: Place
    effort: Effort
    kept: Keeper = NOTHING
    """What the visitor's keeper held until now."""
    keeper: Keeper = NOTHING
    """What the visitor's keeper holds from now on."""
    people_keys: Sequence[bytes] = ()
    """Under which people have digests."""


class _Page(NamedTuple):
    """What all events of a visit say alike."""

    url: str
    referrer: str
    visitor: bytes
    redactions: tuple[Redaction, ...]


def enrich(context: Context) -> Iterator[Event | LedgerRow]:
    """Yield an event for each hit and pixel, or the ledger row of its drop."""
    pixels = {pixel.id: pixel for pixel in context.site.pixel}
    matched: dict[str, Matched] = {}
    page: _Page | None = None
    for named in context.visit.hits:
        claimed = labels.without_contact_data(named, context.effort)
        time = _event_time(claimed, context)
        hit, odd = _checked(context, claimed)
        for pixel_id in hit.pixels:
            reason = _drop_reason(context, hit, pixels.get(pixel_id), time)
            if reason is not None:
                yield _dropped(context, hit, pixel_id, time, reason, findings=_why(reason, context, hit, odd))
                continue
            if pixel_id not in matched:
                matched[pixel_id] = _matched(context, pixel_id)
            who = matched[pixel_id]
            if who.too_little:
                yield _dropped(context, hit, pixel_id, time, DropReason.LITTLE_IDENTITY, findings=who.findings)
            else:
                page = page or _page(context)
                yield _event(context, page, hit, pixel_id=pixel_id, time=time, matched=who, odd=odd)


def _checked(context: Context, hit: Hit) -> tuple[Hit, tuple[str, ...]]:
    """Return the hit with the data that its site lets out, as Meta reads them, and what was odd about them."""
    given = hit.data
    if context.site.sensitive == "restricted":
        given = {key: given[key] for key in _RESTRICTED_DATA if key in given}
    data, findings = checked(hit.name, given)
    return (hit._replace(data=data) if hit.data else hit), findings


def _dropped(  # noqa: PLR0913 - a row of the ledger has many columns
    context: Context, hit: Hit, pixel_id: str, time: int, reason: DropReason, *, findings: tuple[str, ...]
) -> LedgerRow:
    return LedgerRow(
        at=context.facts.now,
        pixel=pixel_id,
        name=hit.name,
        id=hit.id,
        time_s=time // 1000,
        status=Status.DROPPED,
        reason=reason,
        fate=hit.fate,
        findings=findings,
    )


def _why(reason: DropReason, context: Context, hit: Hit, odd: tuple[str, ...]) -> tuple[str, ...]:
    """Return the findings that led to a drop; of a visit that may not be measured nothing else is noted."""
    match reason:
        case DropReason.BOT:
            return _bot(context)
        case DropReason.MISSING_VALUE:
            return odd
        case DropReason.CONTACT_DATA:
            return labels.findings(hit)
        case _:
            return ()


class Matched(NamedTuple):
    """Who the visitor is for one pixel."""

    user_data: Mapping[str, Any]
    people: tuple[bytes, ...]
    too_little: bool
    findings: tuple[str, ...]


def _matched(context: Context, pixel_id: str) -> Matched:
    user_data, unusable = _user_data(context, pixel_id)
    return Matched(user_data, digests(user_data, context.people_keys), pii.too_little(user_data), unusable)


def _event_time(hit: Hit, context: Context) -> int:
    """Return when it happened by our clock: the browser's two times say how long ago, whatever its clock says."""
    now = context.facts.now
    return min(now, now - (context.visit.sent - hit.at))


def _drop_reason(context: Context, hit: Hit, pixel: Pixel | None, time: int) -> DropReason | None:
    """Return the first reason not to send this hit to this pixel; other people's pixels come first."""
    if pixel is None:
        return DropReason.UNKNOWN_PIXEL
    if context.forbidden is not None or not labels.is_public(hit):
        return context.forbidden or DropReason.CONTACT_DATA
    if context.facts.now - time > _ACCEPTED_AGE_MS:
        return DropReason.TOO_OLD
    if not wants(pixel.events, hit.name):
        return DropReason.EXCLUDED
    if context.site.sensitive == "restricted" and hit.name not in STANDARD_EVENTS:
        return DropReason.RESTRICTED
    return DropReason.MISSING_VALUE if hit.name == "Purchase" and "value" not in hit.data else None


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
    keys = match_keys(context.visit, pixel_id, context.facts, context.site, context.effort)
    user_data: dict[str, Any] = {**keys.plain, **context.keeper.match, **keys.hashed}
    ids, facts = context.ids, context.facts
    plain = {
        "client_ip_address": context.address,
        "client_user_agent": facts.user_agent,
        "fbp": ids.fbp,
        "fbc": ids.fbc,
    }
    user_data.update((key, value) for key, value in plain.items() if value)
    if context.keeper.visitor:
        user_data["external_id"] = [*user_data.get("external_id", ()), sha256(context.keeper.visitor)]
    return user_data, tuple(f"{key}:unusable" for key in keys.rejected)


def _page(context: Context) -> _Page:
    visit, visitor = context.visit, _visitor(context)
    if context.site.sensitive == "restricted":
        return _Page(origin_of(visit.url), "", visitor, ())
    allowed = limits_of(context.site.keep_url_params, context.site.block_keys)
    url, in_url = clean_url(visit.url, allowed, context.effort)
    referrer, in_referrer = clean_url(visit.referrer, allowed, context.effort)
    return _Page(url, referrer, visitor, _redactions(in_url, "url") + _redactions(in_referrer, "referrer"))


def _redactions(removed: Sequence[str], place: str) -> tuple[Redaction, ...]:
    return tuple([Redaction(what, place) for what in removed]) if removed else ()


def _event(  # noqa: PLR0913 - what is the visit's, the page's, the hit's and the pixel's
    context: Context, page: _Page, hit: Hit, *, pixel_id: str, time: int, matched: Matched, odd: tuple[str, ...]
) -> Event:
    data, in_data = clean_data(
        hit.data, limits_of(context.site.keep_url_params, context.site.block_keys), context.effort
    )
    return Event(
        pixel=pixel_id,
        name=hit.name,
        id=hit.id,
        time_s=time // 1000,
        url=page.url,
        referrer=page.referrer,
        user_data=matched.user_data,
        people=matched.people,
        custom_data=data,
        options=context.options,
        visitor=page.visitor,
        fate=hit.fate,
        mark=f"bot:{context.bot}" if context.bot else "",
        findings=_bot(context) + matched.findings + odd,
        redactions=page.redactions + _redactions(in_data, "custom_data"),
    )


def _bot(context: Context) -> tuple[str, ...]:
    return (f"bot:{context.bot}",) if context.bot else ()


def _visitor(context: Context) -> bytes:
    """Return four bytes that tell visitors apart: by the id the browser showed, else by address and user agent."""
    shown = (
        context.visit.fbp
        or cookies_of(context.facts.cookie).get("_fbp")
        or f"{context.address} {context.facts.user_agent}"
    )
    return blake2b(shown.encode(errors="replace"), digest_size=4).digest()
