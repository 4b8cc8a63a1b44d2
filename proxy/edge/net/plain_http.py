r"""HTTP/1.1 (RFC 9112) without aiohttp: reads the plain POST of a tag, and writes answers as bytes.

Any request that is not exactly such a POST is left to aiohttp's parser.

A head is accepted only if every parser reads it alike: a request line that is known beforehand, then lines of a name, a
colon, one space and visible ASCII, each ended by CR LF, which is a part of what RFC 9112 allows. No name may come
twice, and of the headers that say how a message is framed or read only one plain ``Content-Length`` may be there.
"""

import re
from collections.abc import AsyncGenerator, Iterable
from http import HTTPStatus

from aiohttp.helpers import rfc822_formatted_time

from proxy.edge.exchange import HttpAnswer
from proxy.rules.limits import BODY

_LONGEST_HEAD = 8190
"""How many bytes a head may have: as many as aiohttp allows one header, so it would refuse no header as too long."""
_MOST_HEADERS = 128
"""How many headers a request may have, as with aiohttp."""
# Token, then visible characters and spaces between them (RFC 9110, 5.6.2 and 5.5); possessive, so it never goes back.
_HEADERS = re.compile(rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++: [!-~][ -~]*+(?<! )\r\n)++)\r\n")
_LENGTH = re.compile(r"[1-9][0-9]{0,4}")
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
# Headers that change how a request is framed, answered or read; for ``Connection`` and ``Content-Encoding``, see below.
_NOT_PLAIN = {"expect", "proxy-connection", "sec-websocket-key1", "transfer-encoding", "upgrade"}


class PlainPost:
    """A plain POST that came whole; implements ``HttpRequest``."""

    __slots__ = ("headers", "path", "peer", "size", "whole_body")

    method = "POST"
    is_secure = False
    query = ""

    def __init__(self, path: str, headers: dict[str, str], body: bytes, peer: str) -> None:
        self.path = path
        self.peer = peer
        self.size = len(body)
        self.headers = headers
        self.whole_body = body

    async def body(self) -> bytes:
        """Return the whole body, which came with the head."""
        return self.whole_body

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the whole body as one piece."""
        yield self.whole_body


class PlainPosts:
    """Reads plain POSTs to certain paths."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Take paths of letters, digits and the characters ``/``, ``-``, ``_`` and ``.`` only; others are left out."""
        plain = [path for path in paths if re.fullmatch(r"(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+", path)]
        self._paths = {f"POST {path} HTTP/1.1".encode(): path for path in plain}

    def read(self, data: bytes, peer: str) -> PlainPost | None:
        """Return the request if the bytes are exactly one plain POST; None when they are anything else.

        Args:
            data: What came on a connection on which no request was under way.
            peer: The address that it came from.
        """
        end = data.find(b"\r\n", 0, _LONGEST_HEAD)
        path = self._paths.get(data[:end])
        lines = _HEADERS.match(data, end + 2, _LONGEST_HEAD) if path else None
        if path is None or lines is None:
            return None
        headers = _headers(lines[1].decode())
        if headers is None or len(data) != lines.end() + int(headers["content-length"]):
            return None
        return PlainPost(path, headers, data[lines.end() :], peer)


def _headers(text: str) -> dict[str, str] | None:
    """Return headers by their lower-case names; None unless they are plain."""
    lines = text[:-2].split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    length = headers.get("content-length", "")
    is_plain = (
        len(headers) == len(lines) <= _MOST_HEADERS
        and "host" in headers
        and _LENGTH.fullmatch(length)
        and int(length) <= BODY
        and _NOT_PLAIN.isdisjoint(headers)
        and headers.get("connection", "keep-alive").lower() == "keep-alive"
        and headers.get("content-encoding", "identity").lower() == "identity"
    )
    return headers if is_plain else None


def answer_bytes(answer: HttpAnswer, *, closes: bool = False) -> bytes:
    """Return an answer as the bytes of its head and body; ``closes`` adds ``Connection: close``.

    Raises:
        ValueError: when a header holds a line break or a NUL.
    """
    lines = [_STATUS_LINES[answer.status]]
    lines += [f"{name}: {value}\r\n" for name, value in answer.headers.items()]
    lines += [f"Set-Cookie: {cookie}\r\n" for cookie in answer.cookies]
    if answer.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(answer.body)}\r\n")
    lines.append(f"Date: {rfc822_formatted_time()}\r\n")
    if closes:
        lines.append("Connection: close\r\n")
    head = "".join(lines)
    if not head.count("\r") == head.count("\n") == len(lines) or "\0" in head:
        raise ValueError("a header of an answer holds a line break")
    return head.encode() + b"\r\n" + answer.body
