"""The ``fbtrace_id`` of our own answers, of the length and letters of Meta's."""

import base64


def new_trace(bits: int) -> str:
    """Return a trace made of 128 random bits."""
    return "A" + base64.urlsafe_b64encode(bits.to_bytes(16, "big")).decode().rstrip("=")
