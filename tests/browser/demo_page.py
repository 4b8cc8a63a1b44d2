"""A demo for browser tests: its ports, and the address that its visitors appear to have."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.async_api import Route
from support import VISITOR_ADDRESS


@contextmanager
def four_free_ports() -> Iterator[int]:
    """Yield the first of four consecutive free ports, as many as the demo takes."""
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
    """Add the header with which a proxy in front names the visitor's address: a loopback address would not be sent."""
    await route.continue_(headers={**route.request.headers, "X-Forwarded-For": VISITOR_ADDRESS})
