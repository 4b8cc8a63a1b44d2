"""The link of the install check on the public listener: it works for one browser, and others notice nothing."""

import time
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import Any

import orjson
import pytest
from support import SECRET, Installation, installation, page_views

from proxy.rules.permission.install_check import OPEN_MS, SHOWN_MS, CheckedPage, InstallChecks

pytestmark = pytest.mark.usefixtures("front")
TAG = "/shop-tools/m.js"
OWNED = CheckedPage("shop", "https://shop.example/")
CHECKS = InstallChecks([SECRET])


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(name="shop", scope="module")
async def _shop(
    tmp_path_factory: pytest.TempPathFactory,
    front: str,  # noqa: ARG001 - each front has its own
) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


async def made(shop: Installation, **body: Any) -> tuple[int, dict[str, Any]]:
    async with shop.session.post(f"{shop.operator}/api/install-check", json=body) as answer:
        return answer.status, orjson.loads(await answer.read())


async def asked(
    shop: Installation, path: str, *, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers without the date, and body."""
    url = f"{shop.public}{path}"
    async with shop.session.request(method, url, headers=headers, allow_redirects=False) as answer:
        shop.session.cookie_jar.clear()
        return (
            answer.status,
            {key: value for key, value in answer.headers.items() if key != "Date"},
            await answer.read(),
        )


async def cookie_of(shop: Installation) -> str:
    """Open a link as the owner's browser does, and return the cookie that it sends from then on."""
    _, document = await made(shop, proxy=shop.public)
    status, headers, _ = await asked(shop, document["link"].removeprefix(shop.public))
    assert status == 200
    return headers["Set-Cookie"].partition(";")[0]


async def test_a_link_leads_the_owner_to_the_page_and_leaves_no_trace(shop: Installation) -> None:
    """A link is below the site's path and sets a cookie for half an hour; it is not cached or sent as a referrer."""
    status, document = await made(shop, page="https://www.shop.example/thanks?step=2&x=1", proxy=shop.public)
    path = document["link"].removeprefix(shop.public)
    opened, headers, body = await asked(shop, path)
    (cookie,) = SimpleCookie(headers["Set-Cookie"]).values()

    assert (status, opened, document["site"], document["minutes"]) == (200, 200, "shop", 30)
    assert path.startswith("/shop-tools/")
    assert document["page"].replace("&", "&amp;").encode() in body
    assert (cookie["path"], cookie["max-age"], cookie["samesite"]) == ("/shop-tools", "1800", "Lax")
    assert cookie["httponly"]
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("private, no-store", "no-referrer")
    assert "default-src 'none'" in headers["Content-Security-Policy"]


async def test_the_cookie_of_a_https_page_is_sent_by_https_alone(shop: Installation) -> None:
    """If the page came by https, the cookie is Secure."""
    _, document = await made(shop, proxy=shop.public)
    path = document["link"].removeprefix(shop.public)
    _, headers, _ = await asked(shop, path, **{"X-Forwarded-Proto": "https"})

    assert headers["Set-Cookie"].endswith("; Secure")


async def test_only_the_owners_browser_gets_another_tag(shop: Installation) -> None:
    """With the cookie the tag has the check and is not cached; without it, or with a forged one, not a byte differs."""
    before = await asked(shop, TAG)
    cookie = await cookie_of(shop)
    _, headers, body = await asked(shop, TAG, Cookie=f"a=b; {cookie}", **{"If-None-Match": before[1]["Etag"]})
    name, _, value = cookie.partition("=")
    forged = [f"{name}={value[:-1]}{'A' if value[-1] != 'A' else 'B'}", f"{name}=", f"{name}={'é' * 40}", f"x{cookie}"]

    assert b"Install check" in body
    assert (headers["Cache-Control"], headers.get("Etag")) == ("private, no-store", None)
    assert b"Install check" not in before[2]
    for words in forged:
        assert await asked(shop, TAG, Cookie=words.encode().decode("latin-1")) == before
    assert await asked(shop, TAG) == before


def _bent(text: str) -> list[str]:
    return [text[:-1], text + "A", text[:40] + ("A" if text[40] != "A" else "B") + text[41:], text.swapcase(), "A" * 80]


async def test_what_is_no_link_is_an_address_like_any_other(shop: Installation) -> None:
    """A forged, truncated, old, foreign or misplaced link gets the same bytes as any unknown address."""
    nowhere = await asked(shop, "/shop-tools/nothing")
    fresh = CHECKS.link(OWNED, now())
    links = [
        *(f"/shop-tools/{text}" for text in _bent(fresh)),
        f"/shop-tools/{CHECKS.link(OWNED, now() - OPEN_MS)}",
        f"/shop-tools/{CHECKS.link(OWNED._replace(site='other'), now())}",
        f"/shop-tools/{InstallChecks(['another secret, of somebody else entirely']).link(OWNED, now())}",
        f"/shop-tools/{CHECKS.cookie('shop', now())}",
        f"/shop-tools/{CHECKS.sign_end('shop', now() + SHOWN_MS)}",
        f"/elsewhere/{fresh}",
        f"/{fresh}",
    ]
    for link in links:
        assert await asked(shop, link) == nowhere, link
    assert nowhere[0] == 404
    assert await asked(shop, f"/shop-tools/{fresh}", method="POST") == await asked(
        shop, "/shop-tools/nothing", method="POST"
    )


async def test_a_check_ends_when_the_owner_says_so(shop: Installation) -> None:
    """The tag of a check contains the address that ends the check, which deletes the cookie."""
    cookie = await cookie_of(shop)
    _, _, body = await asked(shop, TAG, Cookie=cookie)
    end = body.decode().rpartition('new URL("')[2].partition('"')[0]
    status, headers, _ = await asked(shop, end, method="POST", Cookie=cookie)

    assert status == 204
    assert headers["Set-Cookie"].startswith(f"{cookie.partition('=')[0]}=; Path=/shop-tools; Max-Age=0")


async def _told(shop: Installation, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
    status, _, answer = await shop.post(body, **headers)
    return status, orjson.loads(answer or b"null")


async def test_the_owner_is_told_what_was_left_out(shop: Installation) -> None:
    """With the cookie the answer names dropped events beside the refused ones; without it the answer is as usual."""
    cookie = await cookie_of(shop)
    taken, foreign = page_views(["check-1"]), page_views(["check-2"])
    foreign["events"][0]["name"] = "Lead"
    events = [*foreign["events"], {"name": 5}]

    assert await _told(shop, page_views(["check-3"])) == (204, None)
    assert await _told(shop, taken, Cookie=cookie) == (200, {"refused": [], "dropped": []})
    status, answer = await _told(shop, page_views(["check-4"]), Cookie=cookie, **{"Sec-GPC": "1"})
    assert (status, answer["dropped"]) == (200, [{"name": "PageView", "id": "check-4", "reason": "gpc"}])
    status, answer = await _told(shop, {**foreign, "events": events}, Cookie=cookie)
    assert (status, [each["index"] for each in answer["refused"]], answer["dropped"]) == (200, [1], [])
    status, answer = await _told(shop, {**foreign, "events": [{"name": 5}]}, Cookie=cookie)
    assert (status, "dropped" in answer) == (400, False)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"page": "https://elsewhere.example/"}, "page"),
        ({"page": "https://shop.example@elsewhere.example/"}, "page"),
        ({"page": "javascript:alert(1)//shop.example"}, "page"),
        ({"page": "https://shop.example:99999/"}, "page"),
        ({"page": "https://[shop.example/"}, "page"),
        ({"page": "https://elsewhere.example\\@shop.example/"}, "page"),
        ({"page": "https://shop.example/\nx"}, "page"),
        ({"page": 5}, "page"),
        ({"page": "https://shop.example/" + "x" * 1000}, "page"),
        ({"proxy": "t.shop.example"}, "proxy"),
        ({"site": "other"}, "site"),
        ({"site": "other", "page": "https://shop.example/"}, "site"),
    ],
)
async def test_a_link_leads_nowhere_but_to_a_site(shop: Installation, body: dict[str, Any], word: str) -> None:
    """A page that is of no site, or is no address, is refused with what is accepted."""
    status, answer = await made(shop, **body)

    assert (status, answer["error"].partition(":")[0]) == (400, word)


async def test_without_a_page_the_sites_own_is_taken(shop: Installation) -> None:
    """Without a page the link is made for the site's own domain, and stands there too."""
    _, document = await made(shop)

    assert document["page"] == "https://shop.example/"
    assert document["link"].startswith("https://shop.example/shop-tools/")
