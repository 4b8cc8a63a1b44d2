"""What one browser request may hold: every limit that a stranger's body or header meets, in one place.

A body of 64 KiB names its visitor once, but each of its events becomes a record for each of its pixels. Without a
budget 1,000 short events, with the longest addresses and match keys beside them, came to 40 MB of queue. What is over
a limit is refused or left out by name, never in silence; ``docs/how-it-works.md`` has the table.
"""

BODY = 64 * 1024
"""Bytes of a body. Browsers let the keepalive requests of a page hold 64 KiB together (WHATWG, Fetch)."""
EVENTS = 200
"""Events of a body, and likewise browser copy updates. Further events are refused, further updates ignored."""
ROWS = 400
"""Pairs of event and pixel in a body. An event that passes it is refused."""
PART = 50
"""Pairs of event and pixel that are worked on without a pause, before other requests get their turn."""
PIXELS = 50
"""Pixels of one event, and pixels with match keys of their own."""
NAME = 100
"""Characters of an event's name; the Pixel's own limit is said to be 50."""
ID = 200
"""Characters of an event's id, and of an id that Meta takes in the clear."""
DEPTH = 16
"""Levels of custom data; Meta flattens them, and ``contents`` has two."""
MEMBERS = 1000
"""Members of all custom data of a body, at all levels: each costs about as much as ten characters that are read."""
VALUES = 4
"""Values read of one match key. Meta names no limit."""
USER_AGENT = 512
"""Characters of a user agent that are read; the longest of a phone's in-app browser has some 400."""
ADDRESS = 2048
"""Bytes of an address or of a forwarding header that are read."""
RECORDS = 256 * 1024
"""Bytes of what one request writes: payloads, and what queue and ledger note of each. What the events of one pixel
share counts once. An event that passes it is refused."""
SHARED = 16 * 1024
"""The most bytes that the shared part of a pixel's records can have under the other limits; a test checks this."""
SEGMENTS = 300 * 1024
"""Bytes that one request can come to in the queue, sealed; follows from the others and from how segments are cut."""
SIGHTINGS = 8
"""Events of a body that leave a sighting of their visitor, the first ones."""
SIGHTING_KEYS = 24
"""Keys of a sighting, the surest first."""
DELIVERY_MS = 60 * 60 * 1000
"""Time that is kept for the delivery: an event that becomes too old for Graph within it is not taken, and no event
waits into it."""
NUMBER = 10**15
"""Amounts and counts have to be below this: up to it every JSON reader reads whole numbers exactly (IEEE 754)."""


def cut_address(text: str) -> str:
    """Return an address; one that is too long without query and fragment, or "" if it is still too long."""
    if is_short(text):
        return text
    bare = text[: ADDRESS + 1].partition("#")[0].partition("?")[0]
    return bare if is_short(bare) else ""


def is_short(text: str) -> bool:
    """Tell whether an address has at most ``ADDRESS`` bytes."""
    return len(text) <= ADDRESS and (text.isascii() or len(text.encode(errors="replace")) <= ADDRESS)


def cut_list(header: str) -> str:
    """Return the right end of a comma-separated header, whole entries only: the left end may be a stranger's."""
    return header if len(header) <= ADDRESS else header[-ADDRESS:].partition(",")[2]
