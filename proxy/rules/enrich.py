"""``Visit`` + what only the server knows → one ``Event`` per hit and pixel, or a named reason why not."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from proxy.model import MAX_AGE_MS, DropReason, Event, Facts, Hit, LedgerRow, Redaction, Status, Visit
from proxy.rules import pii
from proxy.rules.identity import BrowserIds, cookies_of
from proxy.rules.redact import clean_data, clean_url, limits_of, origin_of
from proxy.settings import Pixel, Site

# Delivery needs time of its own, so what would be too old within the hour is not taken.
_ACCEPTED_AGE_MS = MAX_AGE_MS - 60 * 60 * 1000
# Meta Pixel reference, standard events; PageView is the base code's own.
STANDARD_EVENTS = frozenset({
    "AddPaymentInfo", "AddToCart", "AddToWishlist", "CompleteRegistration", "Contact", "CustomizeProduct", "Donate",
    "FindLocation", "InitiateCheckout", "Lead", "PageView", "Purchase", "Schedule", "Search", "StartTrial",
    "SubmitApplication", "Subscribe", "ViewContent",
})  # fmt: skip
_RESTRICTED_DATA = ("value", "currency")


@dataclass(frozen=True, slots=True)
class Context:
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


class _Page(NamedTuple):
    """What all events of a visit say alike."""

    url: str
    referrer: str
    visitor: bytes
    redactions: tuple[Redaction, ...]


def enrich(context: Context) -> Iterator[Event | LedgerRow]:
    """Yield an event for each hit and pixel, or the ledger row of its drop."""
    pixels = {pixel.id: pixel for pixel in context.site.pixel}
    matched: dict[str, Mapping[str, Any]] = {}
    page: _Page | None = None
    for hit in context.visit.hits:
        time = _event_time(hit, context)
        for pixel_id in hit.pixels:
            reason = _drop_reason(context, hit, pixels.get(pixel_id), time)
            if reason is None:
                if pixel_id not in matched:
                    matched[pixel_id] = _user_data(context, pixel_id)
                reason = DropReason.LITTLE_IDENTITY if pii.too_little(matched[pixel_id]) else None
            if reason is None:
                page = page or _page(context)
                yield _event(context, page, hit, pixel_id=pixel_id, time=time, user_data=matched[pixel_id])
            else:
                yield LedgerRow(
                    context.facts.now, pixel_id, hit.name, hit.id, time // 1000, Status.DROPPED, reason, hit.fate
                )


def _event_time(hit: Hit, context: Context) -> int:
    """Return when it happened by our clock: the browser's two times say how long ago, whatever its clock says."""
    now = context.facts.now
    return min(now, now - (context.visit.sent - hit.at))


def _drop_reason(context: Context, hit: Hit, pixel: Pixel | None, time: int) -> DropReason | None:
    """Return the first reason not to send this hit to this pixel; other people's pixels come first."""
    if pixel is None:
        return DropReason.UNKNOWN_PIXEL
    if context.forbidden is not None:
        return context.forbidden
    if context.facts.now - time > _ACCEPTED_AGE_MS:
        return DropReason.TOO_OLD
    if not wants(pixel.events, hit.name):
        return DropReason.EXCLUDED
    if context.site.sensitive == "restricted" and hit.name not in STANDARD_EVENTS:
        return DropReason.RESTRICTED
    no_value = hit.name == "Purchase" and not _is_amount(hit.data.get("value"))
    return DropReason.MISSING_VALUE if no_value else None


@lru_cache(maxsize=4096)
def wants(events: tuple[str, ...], name: str) -> bool:
    """Tell whether a pixel's ``events`` list includes a name; exclusions beat all, and alone they mean all others."""
    if f"!{name}" in events:
        return False
    only_exclusions = events != () and all(event.startswith("!") for event in events)
    return only_exclusions or "*" in events or name in events


def _is_amount(value: Any) -> bool:
    """Tell whether Graph would read a value: a number, or a text that is one (Meta, custom data parameters)."""
    if isinstance(value, bool) or value is None:
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _user_data(context: Context, pixel_id: str) -> dict[str, Any]:
    """Return the match keys of this visitor for one pixel: hashed contact data, and the plain keys of the request."""
    keys = pii.match_keys(context.visit.match.get(pixel_id, {}), country=context.site.country.lower())
    user_data: dict[str, Any] = {**keys.plain, **keys.hashed}
    ids, facts = context.ids, context.facts
    plain = {
        "client_ip_address": context.address,
        "client_user_agent": facts.user_agent,
        "fbp": ids.fbp,
        "fbc": ids.fbc,
    }
    user_data.update((key, value) for key, value in plain.items() if value)
    return user_data


def _page(context: Context) -> _Page:
    visit, visitor = context.visit, _visitor(context)
    if context.site.sensitive == "restricted":
        return _Page(origin_of(visit.url), "", visitor, ())
    allowed = limits_of(context.site.keep_url_params, context.site.block_keys)
    url, in_url = clean_url(visit.url, allowed)
    referrer, in_referrer = clean_url(visit.referrer, allowed)
    return _Page(url, referrer, visitor, (*_redactions(in_url, "url"), *_redactions(in_referrer, "referrer")))


def _redactions(removed: Iterable[str], place: str) -> Iterable[Redaction]:
    return (Redaction(what, place) for what in removed)


def _event(  # noqa: PLR0913 - what is the visit's, the page's, the hit's and the pixel's
    context: Context, page: _Page, hit: Hit, *, pixel_id: str, time: int, user_data: Mapping[str, Any]
) -> Event:
    site = context.site
    restricted = site.sensitive == "restricted"
    given = {key: hit.data[key] for key in _RESTRICTED_DATA if key in hit.data} if restricted else hit.data
    data, in_data = clean_data(given, limits_of(site.keep_url_params, site.block_keys))
    return Event(
        pixel=pixel_id,
        name=hit.name,
        id=hit.id,
        time_s=time // 1000,
        url=page.url,
        referrer=page.referrer,
        user_data=user_data,
        custom_data=data,
        options=context.options,
        visitor=page.visitor,
        fate=hit.fate,
        mark=f"bot:{context.bot}" if context.bot else "",
        redactions=(*page.redactions, *_redactions(in_data, "custom_data")),
    )


def _visitor(context: Context) -> bytes:
    """Return four bytes that tell visitors apart: by the id the browser showed, else by address and user agent."""
    shown = (
        context.visit.fbp
        or cookies_of(context.facts.cookie).get("_fbp")
        or f"{context.address} {context.facts.user_agent}"
    )
    return blake2b(shown.encode(errors="replace"), digest_size=4).digest()
