"""A sample shop whose pages carry the standard base code, a stand-in for the Pixel, and our tag.

All state is in the browser: the cart, the answer about consent, and the switches (switches.py).
"""

from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from proxy.simulator.shop import switches
from proxy.simulator.shop.products import PRODUCTS, Product
from proxy.simulator.shop.templates import fill, read, script_json

# Browsers refuse this port without asking the network, as a blocker would.
UNREACHABLE_URL = "http://127.0.0.1:1/"
ASSETS = {
    "shop.css": "text/css",
    "shop.js": "text/javascript",
    "pairs.js": "text/javascript",
    "report.js": "text/javascript",
    "plants.svg": "image/svg+xml",
}
_CONSENT_COOKIE = "demo_choice"
"""What the visitor answered when asked for consent: ``granted`` or ``declined``; set by shop.js."""


@dataclass(frozen=True)
class ShopSettings:
    """Where the tag, the proxy's image, the simulator and the dashboard are, and which pixel the pages name."""

    pixel_id: str
    tag_url: str
    image_url: str
    simulator_url: str
    dashboard_url: str = ""
    trap: str = ""
    """The script that keeps the calls of a page until an asynchronous tag is there."""


def make_shop(settings: ShopSettings) -> web.Application:
    """Return the shop as an application."""
    shop = _Shop(settings)
    app = web.Application()
    app.add_routes(
        [
            web.get("/", shop.home),
            web.get("/product/{slug}", shop.product),
            web.get("/cart", shop.cart),
            web.get("/checkout", shop.checkout),
            web.get("/thank-you", shop.thank_you),
            web.get("/pairs", shop.pairs),
            web.get("/assets/{name}", _asset),
            web.get("/standin/main.js", _standin),
            web.get("/signals/config/{pixel_id:[0-9]+}", _config),
        ]
    )
    return app


def standin_script() -> str:
    """Return the stand-in for the Pixel; its address may name `tr` and `config` in the query."""
    return read("standin.js")


def config_script(pixel_id: str) -> str:
    """Return the script for which the stand-in waits after the first init of a pixel."""
    return read("config.js").replace("PIXEL_ID", pixel_id)


class _Shop:
    """The pages."""

    def __init__(self, settings: ShopSettings) -> None:
        self._settings = settings

    async def home(self, request: web.Request) -> web.Response:
        cards = "\n".join(fill("card.html", **_texts(product)) for product in PRODUCTS.values())
        return self._page(request, "Plants for small rooms", fill("home.html", cards=cards))

    async def product(self, request: web.Request) -> web.Response:
        product = PRODUCTS.get(request.match_info["slug"])
        if product is None:
            return self._page(request, "Not found", read("missing.html"), status=404)
        event = f'<script>fbq("track", "ViewContent", {script_json(product.content)});</script>'
        return self._page(request, product.name, fill("product.html", **_texts(product)), event=event)

    async def cart(self, request: web.Request) -> web.Response:
        return self._page(request, "Cart", read("cart.html"))

    async def checkout(self, request: web.Request) -> web.Response:
        return self._page(request, "Checkout", read("checkout.html"))

    async def thank_you(self, request: web.Request) -> web.Response:
        return self._page(request, "Thank you", read("thank-you.html"))

    async def pairs(self, request: web.Request) -> web.Response:
        addresses = {
            "The shop": "/",
            "The simulator": self._settings.simulator_url,
            "The dashboard": self._settings.dashboard_url,
        }
        links = "\n".join(f'<a href="{escape(to)}">{text}</a>' for text, to in addresses.items() if to)
        return self._render(
            request,
            title="Events",
            body=fill("pairs.html", links=links),
            script="pairs.js",
            settings=script_json({"simulatorUrl": self._settings.simulator_url}),
        )

    def _page(self, request: web.Request, title: str, body: str, *, event: str = "", status: int = 200) -> web.Response:
        positions = switches.positions(request)
        consent = "" if "consent" in request.query else request.cookies.get(_CONSENT_COOKIE, "")
        return self._render(
            request,
            status=status,
            title=escape(title),
            head=self._pixel(positions, consent) + event,
            noscript=self._noscript(positions),
            body=body,
            foot=read("foot.html"),
            script="shop.js",
            settings=script_json(self._browser_settings(positions, consent)),
        )

    def _render(self, request: web.Request, *, status: int = 200, **parts: str) -> web.Response:
        positions = switches.positions(request)
        blank = {"head": "", "noscript": "", "foot": ""}
        page = fill("layout.html", **(blank | parts | {"switches": switches.links(positions)}))
        response = web.Response(text=page, status=status, content_type="text/html")
        response.headers["Cache-Control"] = "no-store"
        for name, position in positions.items():
            response.set_cookie(switches.cookie_of(name), position, path="/", samesite="Lax")
        if "consent" in request.query:
            response.del_cookie(_CONSENT_COOKIE, path="/")
        return response

    def _pixel(self, positions: dict[str, str], consent: str) -> str:
        # With a stored consent the page revokes nothing: a grant that waits in the queue behind a revoke is never run.
        ask = positions["consent"] == "ask" and consent != "granted"
        address = escape(self._settings.tag_url)
        tags = {
            "trap": f'<script>{self._settings.trap}</script>\n<script async src="{address}"></script>',
            "first": f'<script src="{address}"></script>',
        }
        return fill(
            "pixel.html",
            tag=tags.get(positions["tag"], ""),
            standin_url=script_json(self._standin_url(positions["pixel"])),
            pixel_id=script_json(self._settings.pixel_id),
            revoke='fbq("consent", "revoke");' if ask else "",
        )

    def _standin_url(self, pixel: str) -> str:
        if pixel == "blocked":
            return UNREACHABLE_URL
        query = {"tr": f"{self._settings.simulator_url}/tr/"}
        if pixel == "noconfig":
            query["config"] = UNREACHABLE_URL
        return "/standin/main.js?" + urlencode(query)

    def _noscript(self, positions: dict[str, str]) -> str:
        query = urlencode({"id": self._settings.pixel_id, "ev": "PageView", "noscript": 1})
        pixel_image = (
            UNREACHABLE_URL if positions["pixel"] == "blocked" else f"{self._settings.simulator_url}/tr/?{query}"
        )
        return fill("noscript.html", image_url=escape(self._settings.image_url), pixel_image_url=escape(pixel_image))

    def _browser_settings(self, positions: dict[str, str], consent: str) -> dict[str, Any]:
        return {
            "pixelId": self._settings.pixel_id,
            "lateTag": self._settings.tag_url if positions["tag"] == "late" else "",
            "simulatorUrl": self._settings.simulator_url,
            "askConsent": positions["consent"] == "ask" and not consent,
            "products": [{"slug": plant.slug, "name": plant.name, "cents": plant.cents} for plant in PRODUCTS.values()],
        }


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in ASSETS:
        raise web.HTTPNotFound
    return _file(read(name), ASSETS[name])


async def _standin(_request: web.Request) -> web.Response:
    return _file(standin_script(), "text/javascript")


async def _config(request: web.Request) -> web.Response:
    return _file(config_script(request.match_info["pixel_id"]), "text/javascript")


def _file(text: str, content_type: str) -> web.Response:
    headers = {"Cache-Control": "no-cache"}
    return web.Response(text=text, content_type=content_type, headers=headers)


def _texts(product: Product) -> dict[str, str]:
    fields = ("slug", "name", "latin", "price", "about", "light", "water", "height")
    return {field: escape(getattr(product, field)) for field in fields}
