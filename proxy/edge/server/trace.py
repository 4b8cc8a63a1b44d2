"""The ``fbtrace_id`` of our own answers, with the length and the alphabet of Meta's."""

import base64


def new_trace(bits: int) -> str:
    """Return an ``fbtrace_id`` made of 128 random bits."""
    return "A" + base64.urlsafe_b64encode(bits.to_bytes(16, "big")).decode().rstrip("=")
