"""The doctor's findings about a page, and about the tag that it gets."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from support import raw_config

from proxy.config import load
from proxy.doctor.web import page, tag
from proxy.doctor.web.csp import hash_source
from proxy.doctor.web.markup import markup_of
from proxy.doctor.web.place import PublicPlace, origin_of
from proxy.doctor.web.tag import ExpectedTag
from proxy.doctor.web.visitor import Unreached, WebAnswer
from proxy.edge.tag.build import trap_of

PAGE = "https://shop.example/"
BODY = b"/*the tag*/" + b"x" * 2000
EXPECTED = ExpectedTag(BODY, "0123456789abcdef")


def place(base: str = "https://shop.example", **site: Any) -> PublicPlace:
    settings = load.parse(raw_config("http://127.0.0.1:1", Path("/nowhere"), **site), {}, base=Path()).settings
    return PublicPlace(settings.site[0], "/shop-tools", PAGE, base, trap_of(settings.site[0]))


HERE = place()
TRAP = f"<script>{HERE.trap}</script>"
TAG = '<script async src="/shop-tools/m.js"></script>'
PIXEL = (
    "<script>!function(f){f.src='https://connect.facebook.net/en_US/fbevents.js'}();fbq('init', '1234567890')</script>"
)


def answer(
    body: str | bytes, headers: Mapping[str, str] | None = None, *, status: int = 200, url: str = PAGE
) -> WebAnswer:
    raw = body.encode() if isinstance(body, str) else body
    return WebAnswer(url, status, CIMultiDictProxy(CIMultiDict(headers or {})), raw)


def html(*parts: str) -> str:
    return f"<!doctype html><title>a shop</title>{''.join(parts)}<p>goods"


def csp(policy: str) -> dict[str, str]:
    return {"Content-Security-Policy": policy}


SOUND_PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "as printed": (html(TRAP, TAG, PIXEL), {}),
    "with a whole address": (html(TRAP, TAG.replace("/shop-tools", "https://shop.example/shop-tools"), PIXEL), {}),
    "with a base": (html('<base href="https://shop.example/a/">', TRAP, TAG, PIXEL), {}),
    "with a nonce": (
        html(*(each.replace("<script", '<script nonce="abc123"') for each in (TRAP, TAG, PIXEL))),
        csp("script-src 'nonce-abc123' 'strict-dynamic'; connect-src 'self'; img-src *"),
    ),
    "with a hash": (html(TRAP, TAG, PIXEL), csp(f"script-src 'self' {hash_source(HERE.trap)}")),
    "a policy that only reports": (
        html(TRAP, TAG, PIXEL),
        {"Content-Security-Policy-Report-Only": "default-src 'none'"},
    ),
    "with the snippet's image": (html(TRAP, TAG, PIXEL, '<noscript><img src="/shop-tools/n.gif"></noscript>'), {}),
    "left alone by Rocket Loader": (html(TRAP, TAG.replace("<script", '<script data-cfasync="false"'), PIXEL), {}),
}
FAULTY_PAGES: dict[str, tuple[str, dict[str, str]]] = {
    "page_without_tag": (html(TRAP, PIXEL), {}),
    "page_other_prefix": (html(TRAP, TAG.replace("shop-tools", "k7f2q3w5"), PIXEL), {}),
    "page_without_pixel": (html(TRAP, TAG), {}),
    "page_pixel_first": (html(PIXEL, TRAP, TAG), {}),
    "page_without_trap": (html(TAG, PIXEL), {}),
    "page_tag_twice": (html(TRAP, TAG, PIXEL, TAG), {}),
    "page_tag_bound": (html(TRAP, TAG.replace("async", 'integrity="sha384-abc" async'), PIXEL), {}),
    "page_rocket_loader": (html(TRAP, TAG.replace("async", 'type="a1b2c3-text/javascript"'), PIXEL), {}),
    "page_other_pixels": (html(TRAP, TAG, PIXEL.replace("1234567890", "998877665544")), {}),
    "page_noscript_image": (
        html(
            TRAP,
            TAG,
            PIXEL,
            '<noscript><img src="/shop-tools/n.gif"><img src="https://www.facebook.com/tr?id=1"></noscript>',
        ),
        {},
    ),
    "csp_script": (html(TRAP, TAG, PIXEL), csp(f"script-src https://cdn.example {hash_source(HERE.trap)}")),
    "csp_trap": (html(TRAP, TAG, PIXEL), csp("script-src 'self'")),
    "csp_connect": (html(TRAP, TAG, PIXEL), csp("connect-src https://api.example")),
    "csp_image": (html(TRAP, TAG, PIXEL), csp("img-src data:")),
}


@pytest.mark.parametrize(("body", "headers"), SOUND_PAGES.values(), ids=SOUND_PAGES)
def test_a_sound_page_is_passed_over(body: str, headers: dict[str, str]) -> None:
    """A right page, in any of its forms, causes no finding."""
    assert list(page.findings(HERE, answer(body, headers))) == []


@pytest.mark.parametrize(("code", "case"), FAULTY_PAGES.items(), ids=FAULTY_PAGES)
def test_each_fault_of_a_page_is_found(code: str, case: tuple[str, dict[str, str]]) -> None:
    """A page with one fault causes the finding for it and no other."""
    assert [finding.code for finding in page.findings(HERE, answer(*case))] == [code]


@pytest.mark.parametrize(
    ("src", "code"),
    [
        ("https://t.shop.example/k7f2q3w5/m.js", "page_other_prefix"),
        ("/oldword/m.js", "page_other_prefix"),
        ("/otherword/m.js", "page_without_tag"),
        ("https://elsewhere.example/k7f2q3w5/m.js", "page_without_tag"),
        ("/k7f2q3w5/app.js", "page_without_tag"),
    ],
)
def test_a_tag_of_another_secret_is_told_from_none(src: str, code: str) -> None:
    """A tag of another secret is recognised by a derived-looking path on a host of the site, or an old secret's path.

    Scripts elsewhere are not taken for a tag.
    """
    before = replace(HERE, old_prefixes=["/oldword"])
    found = page.findings(before, answer(html(TRAP, f'<script src="{src}"></script>', PIXEL)))

    assert [finding.code for finding in found] == [code]


def test_what_is_pasted_mends_the_page() -> None:
    """With the lines of a finding pasted into the page, nothing is found any more."""
    (without_tag,) = page.findings(HERE, answer(html(PIXEL.replace("fbq('init', '1234567890')", ""))))
    (trap,) = page.findings(HERE, answer(*FAULTY_PAGES["csp_trap"]))

    assert list(page.findings(HERE, answer(html(without_tag.paste, PIXEL)))) == []
    policy = f"script-src 'self' {trap.paste.removeprefix('script-src ')}"
    assert list(page.findings(HERE, answer(html(TRAP, TAG, PIXEL), csp(policy)))) == []


def test_a_tag_that_brings_the_pixel_needs_neither_trap_nor_base_code() -> None:
    """With load_pixel the page needs only the tag's one line."""
    assert list(page.findings(place(load_pixel=True), answer(html(TAG)))) == []


def test_a_policy_speaks_of_the_proxys_own_host() -> None:
    """If the proxy has a host of its own, the policy needs more than 'self', and the line to paste names that host."""
    there = place("https://t.shop.example")
    body = html(TRAP, TAG.replace('src="', 'src="https://t.shop.example'), PIXEL)
    found = list(page.findings(there, answer(body, csp("default-src 'self' 'unsafe-inline'"))))

    assert [(finding.code, finding.paste) for finding in found] == [
        ("csp_script", "script-src https://t.shop.example"),
        ("csp_connect", "connect-src https://t.shop.example"),
        ("csp_image", "img-src https://t.shop.example"),
    ]


@given(st.text(), st.text(alphabet="<>script=\"'/ m.jsx-img!-[]&;", max_size=200))
def test_no_page_is_an_error(text: str, broken: str) -> None:
    """Whatever text a server sends as a page, the doctor raises no error."""
    list(page.findings(HERE, answer(text + broken, csp(text.replace("\n", "").replace("\r", "")))))
    markup_of(broken)


GOOD = {
    "Content-Type": "text/javascript; charset=utf-8",
    "Cache-Control": "public, max-age=3600",
    "Content-Encoding": "br",
    "ETag": '"0123456789abcdef-br"',
}
SOUND_TAGS: dict[str, tuple[bytes, dict[str, str]]] = {
    "as served": (BODY, GOOD),
    "by another name for JavaScript": (BODY, GOOD | {"Content-Type": "application/javascript"}),
    "kept for less": (BODY, GOOD | {"Cache-Control": "max-age=60"}),
}
FAULTY_TAGS: dict[str, tuple[bytes, dict[str, str], int]] = {
    "tag_not_found": (b"<h1>404</h1>", {"Content-Type": "text/html"}, 404),
    "tag_host_unknown": (b'{"error":"nothing here"}', {"Content-Type": "application/json"}, 404),
    "tag_failing": (b"<h1>502</h1>", {"Content-Type": "text/html"}, 502),
    "tag_challenged": (b"Just a moment...", {"Content-Type": "text/html", "cf-mitigated": "challenge"}, 403),
    "tag_redirected": (b"", {"Location": "https://www.shop.example/shop-tools/m.js"}, 301),
    "tag_is_page": (b"<!doctype html>", {"Content-Type": "text/html"}, 200),
    "tag_type": (BODY, GOOD | {"Content-Type": "application/octet-stream"}, 200),
    "tag_changed": (BODY[:-9], GOOD | {"ETag": 'W/"0123456789abcdef"'}, 200),
    "tag_other_build": (BODY[:-9], GOOD | {"ETag": '"fedcba9876543210-br"'}, 200),
    "tag_kept_long": (BODY, GOOD | {"Cache-Control": "public, max-age=3600, max-age=2592000"}, 200),
    "tag_not_kept": (BODY, GOOD | {"Cache-Control": "no-store"}, 200),
    "tag_with_cookie": (BODY, GOOD | {"Set-Cookie": "session=1"}, 200),
    "tag_not_compressed": (BODY, {key: value for key, value in GOOD.items() if key != "Content-Encoding"}, 200),
}


@pytest.mark.parametrize(("body", "headers"), SOUND_TAGS.values(), ids=SOUND_TAGS)
def test_a_sound_tag_is_passed_over(body: bytes, headers: dict[str, str]) -> None:
    """A tag that arrives byte for byte as the proxy serves it causes no finding."""
    assert list(tag.findings(HERE, answer(body, headers), EXPECTED)) == []


@pytest.mark.parametrize(("code", "case"), FAULTY_TAGS.items(), ids=FAULTY_TAGS)
def test_each_fault_of_the_tag_is_found(code: str, case: tuple[bytes, dict[str, str], int]) -> None:
    """A tag with one fault causes the finding for it and no other."""
    body, headers, status = case

    assert [finding.code for finding in tag.findings(HERE, answer(body, headers, status=status), EXPECTED)] == [code]


@pytest.mark.parametrize(
    ("running", "code"), [("0123456789abcdef", "tag_changed"), ("fedcba9876543210", "tag_other_build")]
)
def test_the_running_proxy_tells_a_change_from_an_older_build(running: str, code: str) -> None:
    """If the ETag was dropped on the way, the running proxy's own tag tells an older build from a changed tag."""
    came = answer(BODY[:-9], {key: value for key, value in GOOD.items() if key != "ETag"})

    assert [each.code for each in tag.findings(HERE, came, ExpectedTag(BODY, EXPECTED.etag, running))] == [code]


def test_a_tag_that_cannot_be_asked_for_is_no_pass() -> None:
    """If the tag's address does not answer, the finding says why."""
    (finding,) = tag.findings(HERE, Unreached(HERE.tag, "no answer in time"), EXPECTED)

    assert (finding.code, finding.seen, finding.failing) == ("tag_unseen", "no answer in time", False)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://shop.example:443/a?b", "https://shop.example"),
        ("http://shop.example:8080", "http://shop.example:8080"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
    ],
)
def test_an_origin_is_written_as_browsers_do(url: str, origin: str) -> None:
    """An origin omits the default port, and has IPv6 addresses in brackets."""
    assert origin_of(url) == origin
