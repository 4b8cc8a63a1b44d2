"""Fields of forms, still escaped, and how they are unescaped a piece at a time.

``urllib`` unescapes 7 MB in a second; browsers' events would have to wait that long. Mail has the same escapes with
another mark (quoted-printable, RFC 2045, 6.7), and Python decodes those many times as fast. Source: WHATWG, URL,
application/x-www-form-urlencoded.
"""

from binascii import a2b_qp
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from proxy.rules import server_limits
from proxy.rules.effort import Parts

_PIECE = server_limits.PART
# How many times as much a piece costs if ``urllib`` has to unescape it.
_LABOUR = 16
# The most bytes of a name: one that leads through twenty levels of an event, with every character escaped.
_MOST_NAME = 3 * 2048
_AS_IN_MAIL = bytes.maketrans(b"%+", b"= ")


class Field(NamedTuple):
    """One field of a form or a multipart body, or one member of a JSON body."""

    name: str
    content: bytes | memoryview
    """A memory view if copying megabytes would make others wait for milliseconds."""
    is_escaped: bool = False
    """Whether name and content still have their escapes."""


def form_fields(content: bytes) -> Iterator[Field]:
    """Yield the fields of a form, except those with names that are longer than any known field's.

    Nothing is unescaped yet, since the sender may be anybody.

    Raises:
        ValueError: when it has too many.
    """
    at, view = 0, memoryview(content)
    for _ in range(server_limits.FIELDS):
        end = content.find(b"&", at)
        end = len(content) if end < 0 else end
        equals = content.find(b"=", at, end)
        equals = end if equals < 0 else equals
        if 0 < equals - at <= _MOST_NAME:
            yield Field(content[at:equals].decode(errors="replace"), view[equals + 1 : end], is_escaped=True)
        at = end + 1
        if at > len(content):
            return
    raise ValueError(f"body: too many fields; accepted: {server_limits.FIELDS}")


def name_of(field: Field) -> str:
    """Return a field's name without escapes; bytes that are no UTF-8 become U+FFFD."""
    return _short(field.name.encode()) if field.is_escaped else field.name


def text_of(field: Field) -> str:
    """Return the content of a short field without escapes; bytes that are no UTF-8 become U+FFFD."""
    content = bytes(field.content)
    return _short(content) if field.is_escaped else content.decode(errors="replace")


def _short(content: bytes) -> str:
    return unquote_to_bytes(content.replace(b"+", b" ")).decode(errors="replace")


def content_parts(field: Field) -> Parts[bytes]:
    """Return the content of a field without escapes, in parts."""
    if not field.is_escaped:
        return bytes(field.content)
    # To join megabytes of pieces at the end would take as long as many parts.
    content, effort = BytesIO(), 0
    for piece in _pieces(field.content):
        plain = _unescaped_as_mail(piece)
        effort += _LABOUR if plain is None else 1
        content.write(_unescaped_anyhow(piece) if plain is None else plain)
        if effort >= _LABOUR:
            effort = 0
            yield
    return content.getvalue()


def unescaped(content: bytes) -> bytes:
    """Return bytes without their escapes."""
    plain = _unescaped_as_mail(content)
    return _unescaped_anyhow(content) if plain is None else plain


def _unescaped_as_mail(content: bytes) -> bytes | None:
    """Return bytes without their escapes; None if a mark begins no escape, or mail would read it as something else."""
    # In mail a mark at the end of a line joins it to the next.
    if b"\n" in content or b"\r" in content:
        return None
    marked = content.replace(b"=", b"%3D")
    plain = a2b_qp(marked.translate(_AS_IN_MAIL))
    # An escape makes one byte of three; if anything else follows a mark, another number of bytes is lost.
    return plain if len(plain) == len(marked) - 2 * marked.count(b"%") else None


def _unescaped_anyhow(content: bytes) -> bytes:
    return unquote_to_bytes(content.replace(b"+", b" "))


def _pieces(content: bytes | memoryview) -> Iterator[bytes]:
    """Yield pieces that do not end in the middle of an escape."""
    at = 0
    while at < len(content):
        piece = bytes(content[at : at + _PIECE])
        begun = piece.rfind(b"%", _PIECE - 2)
        if begun > 0:
            piece = piece[:begun]
        yield piece
        at += len(piece)
