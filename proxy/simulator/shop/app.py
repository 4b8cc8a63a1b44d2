"""A sample shop whose pages carry the standard base code, a stand-in for the Pixel, and our tag.

All state is in the browser. Three switches, kept in cookies and settable by the query, choose what happens to
the Pixel, where the tag stands, and whether consent is asked for.
"""

import json
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

PAGES = files("proxy.simulator.shop") / "pages"
# Browsers refuse this port without asking the network, as a blocker would.
NOWHERE = "http://127.0.0.1:1/"
ASSETS = {
    "shop.css": "text/css",
    "shop.js": "text/javascript",
    "pairs.js": "text/javascript",
    "report.js": "text/javascript",
    "plants.svg": "image/svg+xml",
}
SWITCHES = {
    "pixel": {"normal": "normal", "blocked": "blocked", "noconfig": "no config"},
    "tag": {"trap": "trap, then tag", "first": "tag first", "late": "late"},
    "consent": {"granted": "granted", "ask": "ask"},
}
CHOICE = "demo_choice"


@dataclass(frozen=True)
class ShopSettings:
    """Where the shop finds its neighbours."""

    pixel_id: str
    tag_url: str
    image_url: str
    simulator_url: str
    dashboard_url: str = ""
    trap: str = ""
    """The script that keeps the calls of a page until an asynchronous tag is there."""


@dataclass(frozen=True)
class Product:
    """One plant."""

    slug: str
    name: str
    latin: str
    cents: int
    about: str
    light: str
    water: str
    height: str

    @property
    def price(self) -> str:
        """What the page shows."""
        return f"${self.cents / 100:.2f}"

    @property
    def content(self) -> dict[str, Any]:
        """What the Pixel is told."""
        return {
            "content_ids": [self.slug],
            "content_name": self.name,
            "content_type": "product",
            "value": self.cents / 100,
            "currency": "USD",
        }


PRODUCTS = {
    product.slug: product
    for product in (
        Product(
            "monstera",
            "Monstera",
            "Monstera deliciosa",
            4200,
            "Wide, split leaves that lean toward the window. Give it a stick to climb and it will thank you.",
            "Bright, no midday sun",
            "Weekly",
            "60 cm",
        ),
        Product(
            "fern",
            "Boston fern",
            "Nephrolepis exaltata",
            2400,
            "A soft fountain of green for the bathroom shelf, where the air is never too dry for it.",
            "Half shade",
            "Every three days",
            "35 cm",
        ),
        Product(
            "snake",
            "Snake plant",
            "Dracaena trifasciata",
            2950,
            "Stands upright in the darkest hall, and does not mind that you were away for a month.",
            "Anything but the cellar",
            "Monthly",
            "55 cm",
        ),
        Product(
            "pilea",
            "Pancake plant",
            "Pilea peperomioides",
            1850,
            "Round leaves on thin stalks, and a new small plant to give away every spring.",
            "Bright",
            "Weekly",
            "25 cm",
        ),
        Product(
            "aloe",
            "Aloe",
            "Aloe vera",
            1600,
            "Keeps its own water for weeks, and a little gel for the day you touch the oven.",
            "Full sun",
            "Every two weeks",
            "30 cm",
        ),
        Product(
            "olive",
            "Olive tree",
            "Olea europaea",
            5400,
            "A small tree with silver leaves. Summer on the balcony, winter in the cold stairwell.",
            "Full sun",
            "Weekly",
            "80 cm",
        ),
    )
}


def make_shop(settings: ShopSettings) -> web.Application:
    """Build the shop, ready to be served."""
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
    return _read("standin.js")


def config_script(pixel_id: str) -> str:
    """Return the script for which the stand-in waits after the first init of a pixel."""
    return _read("config.js").replace("PIXEL_ID", pixel_id)


class _Shop:
    """The pages."""

    def __init__(self, settings: ShopSettings) -> None:
        self._settings = settings

    async def home(self, request: web.Request) -> web.Response:
        cards = "\n".join(_fill("card.html", **_texts(product)) for product in PRODUCTS.values())
        return self._page(request, "Plants for small rooms", _fill("home.html", cards=cards))

    async def product(self, request: web.Request) -> web.Response:
        product = PRODUCTS.get(request.match_info["slug"])
        if product is None:
            return self._page(request, "Not found", _read("missing.html"), status=404)
        event = f'<script>fbq("track", "ViewContent", {_script_json(product.content)});</script>'
        return self._page(request, product.name, _fill("product.html", **_texts(product)), event=event)

    async def cart(self, request: web.Request) -> web.Response:
        return self._page(request, "Cart", _read("cart.html"))

    async def checkout(self, request: web.Request) -> web.Response:
        return self._page(request, "Checkout", _read("checkout.html"))

    async def thank_you(self, request: web.Request) -> web.Response:
        return self._page(request, "Thank you", _read("thank-you.html"))

    async def pairs(self, request: web.Request) -> web.Response:
        places = {
            "The shop": "/",
            "The simulator": self._settings.simulator_url,
            "The dashboard": self._settings.dashboard_url,
        }
        links = "\n".join(f'<a href="{escape(to)}">{text}</a>' for text, to in places.items() if to)
        return self._render(
            request,
            title="Events",
            body=_fill("pairs.html", links=links),
            script="pairs.js",
            settings=_script_json({"simulatorUrl": self._settings.simulator_url}),
        )

    def _page(self, request: web.Request, title: str, body: str, *, event: str = "", status: int = 200) -> web.Response:
        switches = _switches(request)
        choice = "" if "consent" in request.query else request.cookies.get(CHOICE, "")
        return self._render(
            request,
            status=status,
            title=escape(title),
            head=self._pixel(switches, choice) + event,
            noscript=self._noscript(switches),
            body=body,
            foot=_read("foot.html"),
            script="shop.js",
            settings=_script_json(self._browser_settings(switches, choice)),
        )

    def _render(self, request: web.Request, *, status: int = 200, **parts: str) -> web.Response:
        switches = _switches(request)
        blank = {"head": "", "noscript": "", "foot": ""}
        page = _fill("layout.html", **(blank | parts | {"switches": _switch_links(switches)}))
        response = web.Response(text=page, status=status, content_type="text/html")
        response.headers["Cache-Control"] = "no-store"
        for name, value in switches.items():
            response.set_cookie(f"demo_{name}", value, path="/", samesite="Lax")
        if "consent" in request.query:
            response.del_cookie(CHOICE, path="/")
        return response

    def _pixel(self, switches: dict[str, str], choice: str) -> str:
        # Of a stored consent nothing is said: a grant that waits in the queue behind a revoke is never run.
        ask = switches["consent"] == "ask" and choice != "granted"
        address = escape(self._settings.tag_url)
        tags = {
            "trap": f'<script>{self._settings.trap}</script>\n<script async src="{address}"></script>',
            "first": f'<script src="{address}"></script>',
        }
        return _fill(
            "pixel.html",
            tag=tags.get(switches["tag"], ""),
            standin_url=_script_json(self._standin_url(switches["pixel"])),
            pixel_id=_script_json(self._settings.pixel_id),
            revoke='fbq("consent", "revoke");' if ask else "",
        )

    def _standin_url(self, pixel: str) -> str:
        if pixel == "blocked":
            return NOWHERE
        query = {"tr": f"{self._settings.simulator_url}/tr/"}
        if pixel == "noconfig":
            query["config"] = NOWHERE
        return "/standin/main.js?" + urlencode(query)

    def _noscript(self, switches: dict[str, str]) -> str:
        query = urlencode({"id": self._settings.pixel_id, "ev": "PageView", "noscript": 1})
        pixel_image = NOWHERE if switches["pixel"] == "blocked" else f"{self._settings.simulator_url}/tr/?{query}"
        return _fill("noscript.html", image_url=escape(self._settings.image_url), pixel_image_url=escape(pixel_image))

    def _browser_settings(self, switches: dict[str, str], choice: str) -> dict[str, Any]:
        return {
            "pixelId": self._settings.pixel_id,
            "lateTag": self._settings.tag_url if switches["tag"] == "late" else "",
            "simulatorUrl": self._settings.simulator_url,
            "askConsent": switches["consent"] == "ask" and not choice,
            "products": [{"slug": p.slug, "name": p.name, "cents": p.cents} for p in PRODUCTS.values()],
        }


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in ASSETS:
        raise web.HTTPNotFound
    return _file(_read(name), ASSETS[name])


async def _standin(_request: web.Request) -> web.Response:
    return _file(standin_script(), "text/javascript")


async def _config(request: web.Request) -> web.Response:
    return _file(config_script(request.match_info["pixel_id"]), "text/javascript")


def _file(text: str, content_type: str) -> web.Response:
    headers = {"Cache-Control": "no-cache"}
    return web.Response(text=text, content_type=content_type, headers=headers)


def _switches(request: web.Request) -> dict[str, str]:
    """Read each switch from the query, else from its cookie; the first choice is the default."""
    chosen = {}
    for name, choices in SWITCHES.items():
        wanted = request.query.get(name) or request.cookies.get(f"demo_{name}", "")
        chosen[name] = wanted if wanted in choices else next(iter(choices))
    return chosen


def _switch_links(switches: dict[str, str]) -> str:
    return "\n".join(_switch_group(name, current) for name, current in switches.items())


def _switch_group(name: str, current: str) -> str:
    links = "".join(
        f'<a href="?{name}={value}"{" aria-current=true" if value == current else ""}>{label}</a>'
        for value, label in SWITCHES[name].items()
    )
    return f'<div class="group" role="group" aria-label="{name}"><span>{name}</span>{links}</div>'


def _texts(product: Product) -> dict[str, str]:
    words = ("slug", "name", "latin", "price", "about", "light", "water", "height")
    return {word: escape(getattr(product, word)) for word in words}


def _script_json(value: object) -> str:
    """Write a value so that it can stand inside a script element."""
    return json.dumps(value).replace("<", "\\u003c")


def _fill(template: str, /, **parts: str) -> str:
    return Template(_read(template)).substitute(parts)


def _read(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")
