"""What one server request may hold: every limit that the body of a backend meets, in one place.

Its sender has a key, so the limits are wide; they keep one request from taking the machine. Meta's are named as such.
"""

from proxy.graph.law import MAX_BATCH

BODY = 16 * 1024 * 1024
"""Bytes of a body, unpacked: 1,000 Purchases of 30 items each come to 7 MB in the widest form an SDK sends."""
EVENTS = MAX_BATCH
"""Events of a request [Meta, using the API]."""
FIELDS = 20_000
"""Fields of a form, and parts of a multipart body: 1,000 events as PHP nests them, with 20 members each."""
WORDS = 50
"""Fields of a request that are no events."""
COMMAS = 1_000_000
"""Commas of the list of events, so that no list with millions of empty elements is split."""
EVENT = 256 * 1024
"""Bytes of one event: an order of 1,000 items, or the longest receipt of an app store."""
DEPTH = 18
"""Levels of an event: those of custom data, the event, and what it stands in."""
MEMBERS = 10_000
"""Members of one event, at all levels: 1,000 items with nine members each."""
WORD = 200
"""Characters of a request field."""
KEY = 1000
"""Characters of an access key; Meta's tokens have some 200."""
PART = 16 * 1024
"""Bytes that are read without a pause, before other requests get their turn."""
FUTURE_S = 60
"""Seconds that an event may lie ahead of our clock. Meta documents no tolerance."""
