"""No request makes the simulator fail."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulator_samples import NOW, event

from proxy.simulator.graph.app import make_app

NAMES = st.sampled_from(
    [
        "data",
        "data[0]",
        "data[][x]",
        "data[0][user_data][em][]",
        "batch",
        "access_token",
        "appsecret_proof",
        "id",
        "ev",
        "mode",
        "for",
        "limit",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
FIELDS = st.sampled_from([*event(), "opt_out", "app_data", "data_processing_options"])
USERS = st.dictionaries(st.sampled_from(["em", "fbc", "fbp", "client_ip_address", "external_id", "x"]), VALUES)
CUSTOMS = st.dictionaries(st.sampled_from(["value", "currency", "contents", "event_id"]), VALUES)
NEARLY = st.builds(
    lambda user, custom: event(event_name="Lead", user_data={"em": "x", **user}, custom_data=custom), USERS, CUSTOMS
)
CHANGED = st.builds(event, st.dictionaries(FIELDS, VALUES, max_size=3))
DATA = st.lists(CHANGED | NEARLY | VALUES, max_size=4)
BODIES = (
    st.binary()
    | st.builds(orjson.dumps, st.fixed_dictionaries({"data": DATA, "access_token": st.just("t")}))
    | st.builds(orjson.dumps, st.dictionaries(NAMES, VALUES))
    | st.builds(lambda data: b"access_token=t&data=" + orjson.dumps(data).replace(b"&", b""), DATA)
    | st.builds(lambda part: b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n' + part, st.binary())
)
TYPES = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/plain",
        "",
    ]
)
CODINGS = st.sampled_from(["", "", "", "Content-Encoding: gzip\r\n", "Content-Encoding: br\r\n"])
PATHS = st.sampled_from(
    [
        "/v26.0/123/events",
        "/v26.0/",
        "//v26/123/events/",
        "/v26.0/\xff/events",
        "/tr/",
        "/sim/faults",
        "/sim/reset",
        "/\xff",
    ]
)
QUERIES = st.binary(max_size=20).map(lambda raw: bytes(byte for byte in raw if byte > 32 and byte not in b"#\x7f"))
VIEWS = (b"/sim/events", b"/sim/events?read=1", b"/sim/report?expect=%ff", b"/sim/faults")


@pytest.fixture(name="server", scope="module")
async def _server() -> AsyncIterator[TestServer]:
    server = TestServer(make_app(now=lambda: NOW))
    await server.start_server()
    yield server
    await server.close()


async def _status(server: TestServer, raw: bytes) -> int:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(raw)
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


def _request(method: bytes, target: bytes, headers: str = "", body: bytes = b"") -> bytes:
    head = f" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return method + b" " + target + head.encode() + body


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=PATHS, query=QUERIES, mime=TYPES, coding=CODINGS, body=BODIES)
async def test_no_request_is_a_server_error(
    server: TestServer, *, path: str, query: bytes, mime: str, coding: str, body: bytes
) -> None:
    """Whatever is sent, the answer's status is below 500, and so are those of the views of what was stored."""
    target = path.encode("latin-1") + b"?" + query
    headers = f"Content-Type: {mime}\r\n{coding}"

    statuses = [await _status(server, _request(b"POST", target, headers, body))]
    statuses += [
        await _status(server, _request(b"GET", view + (b"&" if b"?" in view else b"?") + query)) for view in VIEWS
    ]

    assert [status for status in statuses if status >= 500] == []
