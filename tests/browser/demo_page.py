"""A demo for tests of the browser: its ports, and whom its visitors seem to be."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.async_api import Route
from support import VISITOR_ADDRESS


@contextmanager
def four_free_ports() -> Iterator[int]:
    """Find four free ports in a row, as the demo takes them."""
    for port in range(20_000, 30_000, 4):
        try:
            for step in range(4):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + step))
        except OSError:
            continue
        yield port
        return
    pytest.fail("no four free ports in a row")


async def as_a_proxy_would(route: Route) -> None:
    """Say whom the request comes from, as a proxy in front does; loopback itself is no address to send."""
    await route.continue_(headers={**route.request.headers, "X-Forwarded-For": VISITOR_ADDRESS})
