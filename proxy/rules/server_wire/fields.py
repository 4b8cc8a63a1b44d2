"""Fields of forms, still escaped, and how they are unescaped a piece at a time.

``urllib`` unescapes 7 MB in a second; browser events would wait that long. Source: WHATWG, URL,
application/x-www-form-urlencoded.
"""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from proxy.rules import server_limits
from proxy.rules.effort import Parts

_PIECE = server_limits.PART
# No escape is made of what these stand for, so they may be replaced first; JSON is full of them.
_USUAL = [
    (escape, char.encode())
    for char in "\"\\{}[]:,/ ;=&?#@+<>'()|$!*\n\r\t"
    for escape in sorted({b"%%%02X" % ord(char), b"%%%02x" % ord(char)})
]


class Field(NamedTuple):
    """One field of a form or a multipart body, or one member of a JSON body."""

    name: str
    content: bytes
    is_escaped: bool = False


def form_fields(content: bytes) -> Iterator[Field]:
    """Yield the fields of a form.

    Raises:
        ValueError: when it has too many.
    """
    at = 0
    for _ in range(server_limits.FIELDS):
        end = content.find(b"&", at)
        end = len(content) if end < 0 else end
        equals = content.find(b"=", at, end)
        equals = end if equals < 0 else equals
        if equals > at:
            yield Field(_name(content[at:equals]), content[equals + 1 : end], is_escaped=True)
        at = end + 1
        if at > len(content):
            return
    raise ValueError(f"body: too many fields; accepted: {server_limits.FIELDS}")


def text_of(field: Field) -> str:
    """Return what a short field says; what is no UTF-8 becomes U+FFFD."""
    content = unquote_to_bytes(field.content.replace(b"+", b" ")) if field.is_escaped else field.content
    return content.decode(errors="replace")


def content_parts(field: Field) -> Parts[bytes]:
    """Return what a field holds, in parts."""
    if not field.is_escaped:
        return field.content
    pieces = []
    for piece in _pieces(field.content):
        pieces.append(unescaped(piece))
        yield
    return b"".join(pieces)


def unescaped(content: bytes) -> bytes:
    """Return escaped bytes as they were."""
    content = content.replace(b"+", b" ")
    if b"%" in content:
        for escape, char in _USUAL:
            content = content.replace(escape, char)
    return unquote_to_bytes(content) if b"%" in content else content


def _pieces(content: bytes) -> Iterator[bytes]:
    """Yield pieces that end with no escape begun."""
    at = 0
    while at < len(content):
        end = at + _PIECE
        begun = content.rfind(b"%", end - 2, end)
        if begun > at:
            end = begun
        yield content[at:end]
        at = end


def _name(name: bytes) -> str:
    return unescaped(name).decode(errors="replace") if b"%" in name or b"+" in name else name.decode(errors="replace")
