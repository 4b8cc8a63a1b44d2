"""Body of a browser request → ``Visit``: what the page claims, read in one pass as the tag writes it.

Nearly every body is as the tag writes it: it is decoded by its types. Any other is read member by member, by
``wire_members``, which knows what may be forgiven and says what is wrong. Both read alike what the types accept; a test
compares them.
"""

from typing import Annotated, Literal

import msgspec

from proxy.model.event import BrowserCopy
from proxy.model.ledger import BrowserCopyUpdate
from proxy.model.request import Consent, Hit, Visit
from proxy.rules import limits, wire_members
from proxy.rules.permission.data_processing import options_of

_Time = Annotated[int, msgspec.Meta(gt=0, le=wire_members.MAX_TIME)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.ID)]
_Address = Annotated[str, msgspec.Meta(max_length=limits.ADDRESS)]
# Beyond these, JSON's readers make different numbers of the same digits.
_Whole = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
_Plain = str | _Whole | float | bool | None
_MatchKeys = dict[str, _Plain | list[_Plain]]
_Product = dict[str, _Plain | list[_Plain]]
_CustomData = dict[str, _Plain | list[_Plain | _Product] | _Product]
_PixelId = Annotated[str, msgspec.Meta(min_length=1, max_length=wire_members.PIXEL_ID)]
_PixelIds = Annotated[tuple[_PixelId, ...], msgspec.Meta(min_length=1, max_length=limits.PIXELS)]


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: _Name
    id: _Id
    at: _Time
    pixels: _PixelIds
    data: _CustomData
    pixel: BrowserCopy = BrowserCopy.PENDING


class _BrowserCopyUpdate(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: _Name
    id: _Id
    pixel: BrowserCopy


class _Wire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    v: Literal[1]
    sent: _Time
    url: _Address = ""
    referrer: _Address = ""
    fbp: _Address = ""
    fbc: _Address = ""
    consent: Consent = Consent.UNKNOWN
    dpo: tuple[tuple[str, ...], int, int] | None = None
    webdriver: bool = False
    gpc: bool = False
    match: dict[str, _MatchKeys] | bool = False
    events: Annotated[list[_Event], msgspec.Meta(max_length=limits.EVENTS)] = []
    fates: Annotated[list[_BrowserCopyUpdate], msgspec.Meta(max_length=limits.EVENTS)] = []


_READER = msgspec.json.Decoder(_Wire)
# A member takes a digit and a comma at least; JSON has a comma between two, and a bracket before a first one.
_LEAST = 2
_BEFORE_MEMBERS = (b",", b"{", b"[")


class _UnusualError(ValueError):
    """The body is to be read member by member."""


def visit(body: bytes) -> Visit:
    """Read one body of wire version 1.

    Raises:
        Malformed: when no event of it can be judged.
    """
    try:
        return _usual(body)
    except (ValueError, RecursionError):  # a ValueError is what msgspec raises, too
        return wire_members.visit(body)


def _usual(body: bytes) -> Visit:
    if len(body) > _LEAST * limits.MEMBERS and sum(map(body.count, _BEFORE_MEMBERS)) > limits.MEMBERS:
        raise _UnusualError
    wire = _READER.decode(body)
    if not (wire.url.isascii() and wire.referrer.isascii()):
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
        wire_members.match_keys(wire.match),
        _hits(wire.events),
        tuple(map(_copy_update, wire.fates)) if wire.fates else (),
    )


def _hits(events: list[_Event]) -> tuple[Hit, ...]:
    hits = []
    rows = 0
    for place, event in enumerate(events):
        name, identity, pixels = event.name, event.id, event.pixels
        digits = pixels[0] if len(pixels) == 1 else "".join(pixels)
        if not (name.isprintable() and identity.isprintable() and digits.isascii() and digits.isdecimal()):
            raise _UnusualError
        if len(pixels) > 1:
            pixels = tuple(dict.fromkeys(pixels))
        rows += len(pixels)
        hits.append(Hit(name, identity, event.at, pixels, event.data, event.pixel, place))
    if rows > limits.ROWS:
        raise _UnusualError
    return tuple(hits)


def _copy_update(update: _BrowserCopyUpdate) -> BrowserCopyUpdate:
    if not (update.name.isprintable() and update.id.isprintable()):
        raise _UnusualError
    return BrowserCopyUpdate(update.name, update.id, update.pixel)
