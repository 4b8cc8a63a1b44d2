"""Fields of a multipart body (RFC 7578, RFC 2046 5.1).

The body is in memory already and has a limit, so cutting it at its boundary is all there is to do; parsers that stream
are a hundred times the code. Those that read the type of each part stop at what PHP's asynchronous class sends, where
each says ``multipart/form-data`` and names no boundary. What a part says of its type, length or file is ignored.
"""

import re
from collections.abc import Iterator

from proxy.rules import server_limits
from proxy.rules.server_wire.fields import Field

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,200})"|([^\s";]{1,200}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:([^\r\n]{0,2000})", re.IGNORECASE | re.MULTILINE)
_NAME = re.compile(rb';\s*name=(?:"([^"]{0,500})"|([^\s";]{1,500}))', re.IGNORECASE)
_MOST_HEAD = 8192
# The head of a part, with the blanks behind the delimiter.
_MOST_BEGINNING = 2 * _MOST_HEAD


def multipart_fields(content: bytes, content_type: str) -> Iterator[Field]:
    """Yield the fields of a multipart body.

    Args:
        content: The body.
        content_type: The header, which names the boundary.

    Raises:
        ValueError: when it cannot be cut into parts.
    """
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise ValueError("content-type: no boundary; accepted: multipart/form-data; boundary=…")
    delimiter = b"--" + (match[1] or match[2]).encode(errors="replace")
    if content.count(delimiter) > server_limits.FIELDS:
        raise ValueError(f"body: too many parts; accepted: {server_limits.FIELDS}")
    line_end = b"\r\n" if content.find(delimiter + b"\r\n") >= 0 else b"\n"
    view = memoryview(content)
    for start, end in _places(content, delimiter, line_end):
        beginning = content[start : min(end, start + _MOST_BEGINNING)]
        part = beginning.lstrip(b" \t").removeprefix(line_end)
        head, name = _head(part)
        if name is not None:
            yield Field(name, view[start + len(beginning) - len(part) + len(head) : end])


def _places(content: bytes, delimiter: bytes, line_end: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the parts stand between two delimiters, each at the beginning of a line; the last may be cut off."""
    mark = line_end + delimiter
    end = -len(line_end)
    if not content.startswith(delimiter) and (end := content.find(mark)) < 0:
        raise ValueError("body: the boundary of content-type is not in it; accepted: parts of multipart/form-data")
    while end < len(content) and not content.startswith(b"--", start := end + len(mark)):
        found = content.find(mark, start)
        end = len(content) if found < 0 else found
        yield start, end


def _head(part: bytes) -> tuple[bytes, str | None]:
    """Return the headers of a part with the empty line behind them, and its name, if it has one."""
    ends = [(at, len(end)) for end in (b"\r\n\r\n", b"\n\n") if (at := part.find(end, 0, _MOST_HEAD)) >= 0]
    if not ends:
        return part, None
    at, length = min(ends)
    disposition = _DISPOSITION.search(part, 0, at)
    name = _NAME.search(disposition[1]) if disposition else None
    said = None if name is None else name[1] if name[1] is not None else name[2]
    return part[: at + length], None if said is None else said.decode(errors="replace")
