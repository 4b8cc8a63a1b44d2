"""The types of what a page sends, as the tag writes it; both readers of a body share them."""

from typing import Annotated, Any

import msgspec

from proxy.model.event import BrowserCopy
from proxy.model.request import Hit
from proxy.rules import limits

MAX_TIME = 8_640_000_000_000_000
"""The latest time a JavaScript Date can hold, in ms."""
PIXEL_ID = 20
"""Digits of a pixel's id."""
MOST_ODD = 10
"""After so many events of a body that are not as the tag writes them, its other events are not tried as such."""
Time = Annotated[int, msgspec.Meta(gt=0, le=MAX_TIME)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.ID)]
PixelId = Annotated[str, msgspec.Meta(min_length=1, max_length=PIXEL_ID)]
PixelIds = Annotated[tuple[PixelId, ...], msgspec.Meta(min_length=1, max_length=limits.PIXELS)]


class _UsualEvent(msgspec.Struct, gc=False):
    name: Name
    id: Id
    at: Time
    pixels: PixelIds
    data: Any = {}
    pixel: BrowserCopy = BrowserCopy.PENDING


def usual_hit(event: Any, place: int) -> Hit | None:
    """Return what a member of ``events`` claims, or None if it is not as the tag writes it.

    Args:
        event: The member, as JSON's reader returned it.
        place: Its index.
    """
    try:
        read = msgspec.convert(event, _UsualEvent)
    except msgspec.ValidationError:
        return None
    name, identity, pixels, data = read.name, read.id, read.pixels, read.data
    digits = "".join(pixels)
    if not (name.isprintable() and identity.isprintable() and digits.isascii() and digits.isdecimal()):
        return None
    if type(data) is not dict:
        return None
    return Hit(name, identity, read.at, tuple(dict.fromkeys(pixels)), data, read.pixel, place)
