"""The parser of the fast path reads requests exactly as aiohttp does, and leaves all others to aiohttp."""

import asyncio
import itertools

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from fronts import PATH, post
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.edge.net.plain_http import PlainPosts

POSTS = PlainPosts([PATH])
PEER = "127.0.0.1"
WHOLE = post(b'{"v":1}', "Origin: https://a.example", "User-Agent: Mozilla/5.0 (X11)", "Cookie: a=1; b=2")
NOT_PLAIN = {
    "nothing": b"",
    "another path": post(path="/shop/f"),
    "a longer path": post(path=PATH + "/"),
    "a query": post(path=PATH + "?a"),
    "a percent escape": post(path="/shop/%65"),
    "an absolute target": post(path="http://a.example" + PATH),
    "another method": post().replace(b"POST", b"PUT"),
    "a lower-case method": post().replace(b"POST", b"post"),
    "HTTP/1.0": post().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/2.0": post().replace(b"HTTP/1.1", b"HTTP/2.0"),
    "two spaces": post().replace(b" HTTP", b"  HTTP"),
    "a line break before": b"\r\n" + post(),
    "half a head": post()[:-30],
    "half a body": post(b"{} ")[:-1],
    "a byte behind the body": post() + b"\n",
    "a request behind it": post() * 2,
    "no host": post().replace(b"Host", b"Hast"),
    "two hosts": post(b"{}", "Host: b"),
    "two cookies": post(b"{}", "Cookie: a=1", "cookie: b=2"),
    "no length": post().replace(b"Content-Length", b"Content-Longth"),
    "two lengths": post(b"{}", "Content-Length: 2"),
    "a signed length": post().replace(b": 2", b": +2"),
    "a length with a leading zero": post().replace(b": 2", b": 02"),
    "a length of zero": post(b""),
    "a length in other digits": post().replace(b": 2", ": ٢".encode()),
    "a list of lengths": post().replace(b": 2", b": 2, 2"),
    "more than 64 KiB": post(b"x" * 65537),
    "chunked": post(b"{}", "Transfer-Encoding: chunked"),
    "a coding of transfer": post(b"{}", "Transfer-Encoding: identity"),
    "expect": post(b"{}", "Expect: 100-continue"),
    "upgrade": post(b"{}", "Upgrade: h2c"),
    "connection: close": post(b"{}", "Connection: close"),
    "connection: upgrade": post(b"{}", "Connection: keep-alive, Upgrade"),
    "proxy-connection": post(b"{}", "Proxy-Connection: close"),
    "gzip": post(b"{}", "Content-Encoding: gzip"),
    "an old WebSocket": post(b"{}", "Sec-WebSocket-Key1: a"),
    "a folded line": post(b"{}", "X-A: a\r\n b"),
    "a space before the colon": post(b"{}", "X-A : a"),
    "no space behind the colon": post(b"{}", "X-A:a"),
    "a blank at the end": post(b"{}", "X-A: a "),
    "a tab": post(b"{}", "X-A: a\tb"),
    "an empty value": post(b"{}", "X-A: "),
    "an empty name": post(b"{}", ": a"),
    "no colon": post(b"{}", "X-A"),
    "a bare line feed": post(b"{}", "X-A: a\nX-B: b"),
    "a bare carriage return": post(b"{}", "X-A: a\rX-B: b"),
    "NUL": post(b"{}", "X-A: a\0b"),
    "DEL": post(b"{}", "X-A: a\x7fb"),
    "a byte beyond ASCII": post(b"{}", "X-A: ä"),
    "a name beyond ASCII": post(b"{}", "X-Ä: a"),
    "a long head": post(b"{}", "X-A: " + "a" * 8190),
    "many headers": post(b"{}", *(f"X-{number}: a" for number in range(127))),
}


class _Reader(BaseProtocol):
    """A protocol on which aiohttp's parser may pause reading."""


def read_by_aiohttp(data: bytes) -> tuple[str, str, dict[str, str], bytes] | None:
    """Return the one complete request that aiohttp reads from these bytes; None for any other result."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(_Reader(loop), loop, 1 << 20, auto_decompress=False)
        messages, upgraded, tail = parser.feed_data(data)
        (message, payload), *others = messages
        if others or upgraded or tail or message.should_close or message.upgrade or not payload.is_eof():
            return None
        body = b"".join(payload._buffer)
    except (HttpProcessingError, ValueError):
        return None
    finally:
        loop.close()
    headers = {name.lower(): message.headers.getall(name) for name in message.headers}
    joined = {name: ("; " if name == "cookie" else ", ").join(lines) for name, lines in headers.items()}
    return message.method, message.url.path, joined, body


def read_plainly(data: bytes) -> tuple[str, str, dict[str, str], bytes] | None:
    request = POSTS.read(data, PEER)
    return (request.method, request.path, dict(request.headers), request.whole_body) if request else None


def test_a_plain_request_is_taken() -> None:
    """A plain request is read completely, with lower-case header names and the attributes that handlers use."""
    request = POSTS.read(WHOLE, PEER)

    assert request is not None
    assert (request.method, request.path, request.peer, request.is_secure) == ("POST", PATH, PEER, False)
    assert (request.size, asyncio.run(request.body())) == (7, b'{"v":1}')
    assert [request.headers.get(name) for name in ("origin", "cookie", "x-a")] == [
        "https://a.example",
        "a=1; b=2",
        None,
    ]
    assert POSTS.read(post(b"{}", "connection: Keep-Alive", "Content-Encoding: Identity"), PEER) is not None
    assert POSTS.read(post(b"x" * 65536), PEER) is not None
    assert POSTS.read(post(b"{}", *(f"X-{number}: a" for number in range(126))), PEER) is not None


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_not_plain_is_left_to_aiohttp(data: bytes) -> None:
    """Odd, incomplete and multiple requests are left to aiohttp."""
    assert POSTS.read(data, PEER) is None


def test_every_cut_and_every_changed_byte_is_read_alike_or_not_at_all() -> None:
    """With any byte added, removed or changed, the request is either left to aiohttp or read as aiohttp reads it."""
    cut = (WHOLE[:end] for end in range(len(WHOLE)))
    changed = (
        WHOLE[:place] + bytes((byte,)) + WHOLE[place + after :]
        for place, byte, after in itertools.product(range(len(WHOLE)), b"\0\t\n\r :;,0aZ\x7f\x80", (0, 1))
    )
    taken = 0
    for data in itertools.chain(cut, changed):
        if (found := read_plainly(data)) is not None:
            taken += 1
            assert found == read_by_aiohttp(data), data

    assert taken > 500


_names = st.sampled_from(["Host", "host", "X-A", "Cookie", "Origin", "Content-Length", "Connection", "Expect", "TE"])
_any_names = _names | st.text(st.characters(max_codepoint=255), max_size=5)
_values = st.sampled_from(["a", "2", "0", "close", "keep-alive", "chunked", "", " a", "a ", "a\tb"])
_lines = st.builds("{}{}{}".format, _any_names, st.sampled_from([": ", ":", " : "]), _values | _any_names)
_ends = st.sampled_from(["\r\n"] * 8 + ["\n", "\r", "\r\n ", "\r\n\r\n"])


@given(
    st.lists(st.tuples(_lines, _ends), max_size=5),
    st.sampled_from(["POST /shop/e HTTP/1.1"] * 3 + ["POST /shop/e  HTTP/1.1", "POST /shop/e HTTP/1.0"]),
    st.binary(max_size=4),
)
@example([("Content-Length: 2", "\r\n"), ("Host: a", "\r\n")], "POST /shop/e HTTP/1.1", b"{}")
@settings(max_examples=1500)
def test_what_is_taken_is_read_as_aiohttp_reads_it(
    lines: list[tuple[str, str]], request_line: str, body: bytes
) -> None:
    """Any header lines with any body are either left to aiohttp or read as aiohttp reads them."""
    head = request_line + "\r\n" + "".join(map("".join, lines)) + "Host: b\r\n" * (len(lines) % 2)
    for data in (
        head.encode("latin-1") + b"\r\n" + body,
        head.encode("latin-1") + f"Content-Length: {len(body)}\r\n\r\n".encode() + body,
    ):
        found = read_plainly(data)

        assert found is None or found == read_by_aiohttp(data)


def test_paths_that_could_be_written_otherwise_go_aiohttps_way() -> None:
    """Only paths that can be written in one way are read; others are left to aiohttp."""
    odd = ["/", "/a b", "/ä", "/a/../b", "/.", "/a//b", "a", "/a%20b", "/a?b"]

    assert PlainPosts(odd)._paths == {}
    assert list(PlainPosts(["/k7f2q9w3/e", "/a-b/c_d.e"])._paths.values()) == ["/k7f2q9w3/e", "/a-b/c_d.e"]
