"""Body of a browser request → ``Visit``: what the page claims, read in one pass as the tag writes it.

Nearly every body is short and as the tag writes it: it is decoded by its types. Any other is read member by member, by
``wire_members``, which tolerates some deviations and says what is wrong. What the types accept, both read in the same
way; a test compares them.
"""

from typing import Annotated, Any, Literal

import msgspec
import orjson

from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate
from proxy.model.request import Consent, Hit, Visit
from proxy.rules import limits, wire_members
from proxy.rules.permission.data_processing import options_of
from proxy.rules.wire_types import Id, Name, PixelId, PixelIds, Time

_Address = Annotated[str, msgspec.Meta(max_length=limits.ADDRESS)]
# Beyond these, readers of JSON make different numbers of the same digits.
_Whole = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
_Plain = str | _Whole | None
_MatchKeys = dict[str, _Plain | list[_Plain]]


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: Name
    id: Id
    at: Time
    pixels: PixelIds
    data: msgspec.Raw
    """Any JSON, read by orjson later: numbers near the limits of a double take msgspec a hundred times as long."""
    pixel: BrowserCopy = BrowserCopy.PENDING


class _BrowserCopyUpdate(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: Name
    id: Id
    pixel: BrowserCopy


class _Wire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    v: Literal[1]
    sent: Time
    url: _Address = ""
    referrer: _Address = ""
    fbp: _Address = ""
    fbc: _Address = ""
    consent: Consent = Consent.UNKNOWN
    dpo: tuple[tuple[str, ...], int, int] | None = None
    webdriver: bool = False
    gpc: bool = False
    match: dict[PixelId, _MatchKeys] | bool = False
    events: Annotated[list[_Event], msgspec.Meta(max_length=limits.EVENTS)] = []
    fates: Annotated[list[_BrowserCopyUpdate], msgspec.Meta(max_length=limits.EVENTS)] = []


_READER = msgspec.json.Decoder(_Wire)
# Bytes of a body above which reading it by its types saves nothing, and would cost twice if it is odd.
_LARGE = 8 * 1024
_NO_DATA = b"{}"


class _UnusualError(ValueError):
    """The body has to be read member by member."""


def visit(body: bytes) -> Visit:
    """Read one body of wire version 1.

    Raises:
        Malformed: when no event of it can be judged.
    """
    try:
        return _usual(body)
    except (ValueError, RecursionError):  # both readers' errors are ValueErrors
        return wire_members.visit(body)


def _usual(body: bytes) -> Visit:
    if len(body) > _LARGE:
        raise _UnusualError
    wire = _READER.decode(body)
    # If an event has custom data twice, the last count, and nothing has checked that the first are JSON too.
    are_alone = body.count(b'"data"') == len(wire.events) and not (b"\\" in body and b"\\u" in body)
    if not (are_alone and wire.url.isascii() and wire.referrer.isascii()):
        raise _UnusualError
    return Visit(
        wire.sent,
        wire.url,
        wire.referrer,
        wire.fbp,
        wire.fbc,
        wire.consent,
        None if wire.dpo is None else options_of(wire.dpo),
        wire.webdriver,
        wire.gpc,
        _match_keys(wire.match) if wire.match and isinstance(wire.match, dict) else {},
        _hits(wire.events),
        tuple(map(_copy_update, wire.fates)) if wire.fates else (),
    )


def _hits(events: list[_Event]) -> tuple[Hit, ...]:
    hits = []
    rows = members = 0
    for place, event in enumerate(events):
        name, identity, pixels, text = event.name, event.id, event.pixels, bytes(event.data)
        digits = pixels[0] if len(pixels) == 1 else "".join(pixels)
        if not (name.isprintable() and identity.isprintable() and digits.isascii() and digits.isdecimal()):
            raise _UnusualError
        if len(pixels) > 1:
            pixels = tuple(dict.fromkeys(pixels))
        rows += len(pixels)
        data: dict[str, Any] = {}
        if text != _NO_DATA:
            # JSON has a comma between two members, and a bracket before a first one.
            brackets = text.count(b"{") + text.count(b"[")
            members += brackets + text.count(b",")
            if members > limits.MEMBERS:
                raise _UnusualError
            data = _custom_data(text, may_be_deep=brackets > limits.DEPTH)
        hits.append(Hit(name, identity, event.at, pixels, data, event.pixel, place))
    if rows > limits.ROWS:
        raise _UnusualError
    return tuple(hits)


def _custom_data(text: bytes, *, may_be_deep: bool) -> dict[str, Any]:
    data = orjson.loads(text)
    if not isinstance(data, dict) or (may_be_deep and _levels(data) > limits.DEPTH):
        raise _UnusualError
    return data


def _levels(data: dict[str, Any] | list[Any]) -> int:
    members = data.values() if isinstance(data, dict) else data
    return 1 + max([_levels(member) for member in members if isinstance(member, dict | list)], default=0)


def _match_keys(match: dict[str, _MatchKeys]) -> dict[str, _MatchKeys]:
    digits = "".join(match)
    if len(match) > limits.PIXELS or not (digits.isascii() and digits.isdecimal()):
        raise _UnusualError
    return match


def _copy_update(update: _BrowserCopyUpdate) -> BrowserCopyUpdate:
    if not (update.name.isprintable() and update.id.isprintable()):
        raise _UnusualError
    return BrowserCopyUpdate(update.name, update.id, update.pixel)
