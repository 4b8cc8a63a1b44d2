"""Shared by all tests: one real Chromium a worker, whose host names all lead to loopback; figures after the run."""

import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeAlias

import pytest
import support
from hypothesis import settings
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

# Without the cache each of hundreds of processes would compile the program again, a third of the time of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# The dashboard polls more rarely on a slow machine, and the tests share the machine with others.
expect.set_options(timeout=60_000)
# A time limit for each example would measure the machine's load instead of the code.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
# `make quick` tries fewer examples, whatever a test asks for.
MOST_EXAMPLES = int(os.environ.get("CAPI_PROXY_EXAMPLES", "0"))

# Modules that kill processes, break disks or install packages, the longest first.
LONG = tuple(
    f"tests/{name}"
    for name in (
        *("cluster/test_rounds", "cluster/test_mixed_versions", "faults/test_disk_", "test_shop_traces", "workers/"),
        *("faults/test_graph_faults", "faults/test_kill", "orders/", "test_packaging", "cluster/", "faults/"),
        "test_traces",
    )
)

# Fixtures: "lab" and "here", the shop and its page for browser tests; "queue" and its "clock"; "postgres", a PostgreSQL
# server, with a "schema" and a "database" for each test.
pytest_plugins = ["lab", "stage", "dashboard", "postgres_server", "queues", "shared_books"]

Say: TypeAlias = Callable[[str], None]
# The real Pixel's bot checks notice "HeadlessChrome", so tests present an ordinary user agent.
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--host-resolver-rules=MAP * 127.0.0.1",
]


@pytest.fixture(scope="module", name="front", params=["fast", "aiohttp"])
def _front(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a module's tests with both ways for plain requests: past aiohttp, and through it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(support, "FAST_INGEST", request.param == "fast")
        yield request.param


@pytest.fixture(scope="session", name="browser")
async def _browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    assert path, "chromium is missing: run `make unit`, which installs it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(name="context")
async def _context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(user_agent=USER_AGENT)
    yield context
    await context.close()


@pytest.fixture(name="page")
async def _page(context: BrowserContext) -> Page:
    return await context.new_page()


@pytest.fixture(name="say")
def _say(request: pytest.FixtureRequest) -> Say:
    """Return a function that keeps a line for the end of the run."""
    return lambda text: request.node.user_properties.append(("figure", text))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Limit the examples of a property test; Hypothesis has no public way to do so from outside the test."""
    function = getattr(item, "obj", None)
    wanted = getattr(function, "_hypothesis_internal_use_settings", None)
    if MOST_EXAMPLES and wanted is not None and wanted.max_examples > MOST_EXAMPLES:
        vars(function)["_hypothesis_internal_use_settings"] = settings(wanted, max_examples=MOST_EXAMPLES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the modules that take longest, so that none is left for one worker when the others have ended."""
    items.sort(key=lambda item: _place(item.nodeid))


def _place(nodeid: str) -> int:
    return next((place for place, name in enumerate(LONG) if nodeid.startswith(name)), len(LONG))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines kept by tests that passed or failed."""
    reports = [report for end in ("passed", "failed") for report in terminalreporter.getreports(end)]
    lines = [str(text) for report in reports for name, text in report.user_properties if name == "figure"]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.line(line)
