"""The tag on pages with a strict Content Security Policy."""

import base64
import hashlib
import re
import time
from pathlib import Path

import pytest
from lab import Lab
from playwright.async_api import Page
from polling import until
from shop_page import BASE, CALLS, TAG_PATH, TAKEN_OVER, script

from proxy.edge.tag.build import trap_of

GUIDE = Path(__file__).parents[2] / "docs" / "install.md"
NONCE = "n0nce"
# The stand-in for Meta's Pixel is served by the page's own host here, so it needs these sources.
PIXEL = {"script-src": "'self'", "img-src": "'self'"}


def documented(heading: str) -> dict[str, str]:
    """Return the policy that the guide gives under a heading, as sources by directive."""
    text = GUIDE.read_text(encoding="utf-8").partition("**Content Security Policy.**")[2]
    block = re.search(rf"{heading}.*?\n\n((?:    [^\n]+\n)+)", text, re.DOTALL)
    assert block, heading
    return dict(re.findall(r"^ +([a-z-]+) +(.+);$", block[1], re.MULTILINE))


def policy_of(*parts: dict[str, str]) -> str:
    """Return a policy that joins these policies and forbids everything that they do not name."""
    joined: dict[str, list[str]] = {"default-src": ["'none'"], "base-uri": ["'none'"], "img-src": ["data:"]}
    for part in parts:
        for directive, sources in part.items():
            joined.setdefault(directive, []).append(sources)
    return "; ".join(f"{directive} {' '.join(sources)}" for directive, sources in joined.items())


async def holds(page: Page, expression: str) -> None:
    """Wait until an expression is true; Playwright's own way needs ``eval``, which a strict policy forbids."""
    deadline = time.monotonic() + 10
    while not await page.evaluate(f"!!({expression})"):
        assert time.monotonic() < deadline, f"never true: {expression}"


def with_nonce(html: str) -> str:
    return html.replace("<script", f'<script nonce="{NONCE}"')


def page_of(lab: Lab, placement: str, host: str) -> str:
    """Return the page; its listener for violations comes first."""
    note = "addEventListener('securitypolicyviolation', (event) => broken.push(event.effectiveDirective))"
    listen = script("var broken = []", note)
    sync = f'<script src="{host}{TAG_PATH}"></script>'
    tag = {"trap": lab.trap + sync.replace(" src", " async src"), "sync": sync}
    return with_nonce(
        f"<!doctype html><head><link rel=icon href=data:,>{listen}{tag[placement]}{BASE}{CALLS}</head><body></body>"
    )


@pytest.mark.parametrize("where", ["path", "sub-domain"])
@pytest.mark.parametrize("placement", ["trap", "sync"])
async def test_the_documented_policy_is_enough(page: Page, lab: Lab, placement: str, where: str) -> None:
    """With the guide's policy, which forbids everything else, events are mirrored and nothing is violated."""
    host = "" if where == "path" else lab.url("", "t.shop.test")
    heading = "On a path of the site" if where == "path" else "On a sub-domain"
    wanted = {key: text.replace("https://t.shop.example", host) for key, text in documented(heading).items()}
    nonce = {key: text.replace("…", NONCE) for key, text in wanted.items()}
    lab.headers["Content-Security-Policy"] = policy_of(nonce, PIXEL)
    lab.pages["/"] = page_of(lab, placement, host)
    await page.goto(lab.url())
    await holds(page, TAKEN_OVER)
    await until(lambda: len(lab.events) == 2 and len(lab.fired) == 2, what="both events on both ways")

    assert await page.evaluate("broken") == []
    assert lab.fired_pairs == lab.mirrored_pairs


async def test_the_trap_by_its_hash(page: Page, lab: Lab) -> None:
    """On cached pages, where a nonce is impossible, the policy can allow the trap by its hash."""
    digest = base64.b64encode(hashlib.sha256(trap_of(lab.site).encode()).digest()).decode()
    base = base64.b64encode(hashlib.sha256(BASE[8:-9].encode()).digest()).decode()
    calls = base64.b64encode(hashlib.sha256(CALLS[8:-9].encode()).digest()).decode()
    hashes = " ".join(f"'sha256-{value}'" for value in (digest, base, calls))
    lab.headers["Content-Security-Policy"] = policy_of({"script-src": hashes, "connect-src": "'self'"}, PIXEL)
    tag = f'{lab.trap}<script async src="{TAG_PATH}"></script>'
    lab.pages["/"] = f"<!doctype html><head>{tag}{BASE}{CALLS}</head><body></body>"
    await page.goto(lab.url())
    await until(lambda: len(lab.events) == 2 and len(lab.fired) == 2, what="both events on both ways")

    assert lab.fired_pairs == lab.mirrored_pairs


@pytest.mark.parametrize("placement", ["trap", "sync"])
async def test_a_policy_without_the_proxy_harms_nothing(page: Page, lab: Lab, placement: str) -> None:
    """If the policy allows the tag but not its requests, the Pixel and the page work as without the tag."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    lab.headers["Content-Security-Policy"] = policy_of({"script-src": f"'nonce-{NONCE}'"}, PIXEL)
    lab.pages["/"] = page_of(lab, placement, "")
    await page.goto(lab.url())
    await holds(page, TAKEN_OVER)
    await holds(page, "broken.includes('connect-src')")
    await until(lambda: len(lab.fired) == 2, what="both events of the Pixel")

    assert problems == []
    assert lab.batches == []
