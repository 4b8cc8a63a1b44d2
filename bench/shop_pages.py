"""Requests that look like a shop's: thousands of visitors who return, each with the cookies of its earlier visit.

Of the events 70 % are PageViews, 25 % ViewContent or AddToCart, and 5 % Purchases with contact data that do not repeat.
Ids and times are fresh in each request, in the form that the tag gives them. A request is a page's text with marks,
each of which is replaced when the request is sent, by wrk (shoppers.lua) or by ``Requests``.

More than 250 lines: the words of the shop stand beside the requests that are made of them.
"""

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rig import browser_headers

VISITORS = 10_000
# Does not divide the number of visitors, so that a visitor who returns opens another page.
PAGES = 1999
PIXEL = "1001"
SHARES = {"PageView": 0.70, "ViewContent": 0.15, "AddToCart": 0.10, "Purchase": 0.05}

# Marks: each is a byte that neither JSON nor a header contains. _WIDTHS has the length of what replaces each.
TIME, SENT, RANDOM, DIGITS, HEAD, FBP = "\1\2\3\4\5\6"
_WIDTHS = {TIME: 13, SENT: 13, RANDOM: 16, DIGITS: 8, FBP: 37}
BETWEEN, WITHIN = "\x1e", "\x1f"
_SCRAMBLER, _EIGHT_DIGITS = 61_803_399, 100_000_000


_COLOURS = "Black White Navy Burgundy Olive Sand Charcoal Terracotta Ivory Petrol"
_STUFFS = "Merino Organic-Cotton Linen Suede Recycled-Nylon Cashmere Denim Corduroy"
_GOODS = {
    "Cardigan": "Women > Knitwear > Cardigans",
    "Crewneck Jumper": "Men > Knitwear > Jumpers",
    "Chelsea Boots": "Women > Shoes > Boots",
    "Running Shoes": "Men > Shoes > Running",
    "Rain Jacket": "Kids > Outdoor > Jackets",
    "Tote Bag": "Accessories > Bags > Totes",
    "Wide Leg Trousers": "Women > Trousers",
    "Weekend Backpack": "Accessories > Bags > Backpacks",
}
_CAMPAIGN = "utm_source=facebook&utm_medium=paid_social&utm_campaign=autumn_knitwear_2026&utm_content=carousel_3"
_FIRST_NAMES = "Anna Ben Clara David Emilia Felix Greta Hannes Ida Jonas Katharina Leon Mia Noah Paula Tobias"
_LAST_NAMES = "Schneider Hoffmann Yilmaz Becker Novak Richter Kaminski Vogel Lehmann Öztürk Brandt Sommer"
_TOWNS = "Berlin Hamburg München Köln Leipzig Freiburg Osnabrück Regensburg Kiel Potsdam Erfurt Ulm"


@dataclass(frozen=True)
class Visitor:
    """One browser; its cookies change as the server sets them."""

    address: str
    version: int
    """The version of Chrome."""
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def fbp(self) -> str:
        """Return the browser id."""
        return self.cookies["_fbp"]

    def head(self) -> str:
        """Return the header lines that differ from visitor to visitor."""
        headers = browser_headers()
        for name in ("User-Agent", "sec-ch-ua"):
            headers[name] = headers[name].replace("156", str(self.version))
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers["X-Forwarded-For"] = self.address
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def visitors(count: int = VISITORS) -> list[Visitor]:
    """Return browsers without cookies of the proxy, each with its own address; every second address is IPv6."""
    chance = random.Random(count)
    return [_visitor(chance, number) for number in range(count)]


def _visitor(chance: random.Random, number: int) -> Visitor:
    high, low = divmod(number, 250)
    address = f"2003:e5:{number:x}:0:{chance.getrandbits(16):x}::1" if number % 2 else f"91.12.{high}.{low + 1}"
    first_seen = 1_763_000_000_000 + chance.randrange(10**9)
    cookies = {
        "_fbp": f"fb.1.{first_seen}.{chance.randrange(10**17, 10**18)}",
        "_ga": f"GA1.1.{chance.randrange(10**9, 10**10)}.{first_seen // 1000}",
        "session": f"{chance.getrandbits(128):032x}",
    }
    return Visitor(address, chance.randrange(130, 160), cookies)


# -- pages


def pages(events: int, count: int = PAGES) -> list[str]:
    """Return ``count`` requests, each of another page and with ``events`` events, with marks to replace."""
    chance = random.Random(events)
    names = _deck(chance, events * count)
    return [_page(chance, names[start : start + events]) for start in range(0, len(names), events)]


def _deck(chance: random.Random, size: int) -> list[str]:
    """Return ``size`` names of events in random order, each name with its share."""
    names = [name for name, share in SHARES.items() for _ in range(round(share * size))]
    names += ["PageView"] * (size - len(names))
    chance.shuffle(names)
    return names[:size]


def _page(chance: random.Random, names: Sequence[str]) -> str:
    good = _Good(chance)
    query = f"?{_CAMPAIGN}" if chance.random() < 0.3 else ""
    body = {
        "consent": "granted",
        "sent": _as_number(SENT),
        "v": 1,
        "webdriver": False,
        "fbp": FBP,
        "match": {PIXEL: _contact(chance) if "Purchase" in names else {}},
        "url": f"https://www.shop.example/{good.path}{query}",
        "referrer": f"https://www.shop.example/{good.path.rpartition('/')[0]}",
        "events": [_event(name, good) for name in names],
        "fates": [],
    }
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    for mark in _WIDTHS:
        # JSON cannot contain a bare control character, so json.dumps writes a mark as a number's name or escapes it.
        text = text.replace(f'"{_as_number(mark)}"', mark).replace(json.dumps(mark)[1:-1], mark)
    length = len(text.encode()) + sum((width - 1) * text.count(mark) for mark, width in _WIDTHS.items())
    return f"POST /bench/e HTTP/1.1\r\nHost: t.shop.example\r\nContent-Length: {length}\r\n{HEAD}\r\n{text}"


def _as_number(mark: str) -> str:
    return f"number {ord(mark)}"


class _Good:
    """A product of the shop."""

    def __init__(self, chance: random.Random) -> None:
        self.kind, self.category = chance.choice(list(_GOODS.items()))
        self.name = f"{_one_of(_STUFFS, chance)} {self.kind} {_one_of(_COLOURS, chance)}"
        self.id = f"SKU-{chance.randrange(10_000, 99_999)}"
        self.price = chance.randrange(990, 24_990, 10) / 100
        self.quantity = chance.randint(1, 3)
        self.path = "/".join(
            word.lower().replace(" ", "-") for word in (*self.category.split(" > "), f"{self.name} {self.id}")
        )


def _event(name: str, good: _Good) -> dict[str, object]:
    data: dict[str, object] = {}
    identity = f"{TIME}0.{RANDOM}"
    if name != "PageView":
        data = {
            "content_ids": [good.id],
            "content_name": good.name,
            "content_category": good.category,
            "content_type": "product",
            "value": good.price,
            "currency": "EUR",
        }
    if name == "Purchase":
        identity = f"order-shop-{RANDOM}"
        data["order_id"] = DIGITS
        data["contents"] = [{"id": good.id, "quantity": good.quantity, "item_price": good.price}]
        data["value"], data["num_items"] = round(good.price * good.quantity, 2), good.quantity
    return {"name": name, "id": identity, "at": _as_number(TIME), "pixels": [PIXEL], "data": data, "pixel": "fired"}


def _one_of(words: str, chance: random.Random) -> str:
    return chance.choice(words.split())


def _contact(chance: random.Random) -> dict[str, str]:
    first, last = _one_of(_FIRST_NAMES, chance), _one_of(_LAST_NAMES, chance)
    return {
        "em": f"{first}.{last.replace('Ö', 'Oe').replace('ü', 'ue')}.{DIGITS}@mail.example",
        "ph": f"+49 30 {DIGITS}",
        "fn": first,
        "ln": last,
        "ct": _one_of(_TOWNS, chance),
        "zp": f"{chance.randrange(10_000, 99_999)}",
        "country": "de",
        "external_id": DIGITS,
    }


# -- requests


class Requests:
    """An endless run of requests like those of shoppers.lua, for load that wrk does not make."""

    def __init__(
        self,
        made: Sequence[str],
        heads: Sequence[tuple[str, str]],
        run: int,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Prepare the requests.

        Args:
            made: Pages, with marks in them.
            heads: For each visitor its header lines and its browser id.
            run: A number of at most eight digits that no other run of the load has.
            now: The clock in milliseconds.
        """
        self._pages = [_split(page) for page in made]
        self._heads = heads
        self._run = f"{run:08d}"
        self._event = run % 1000 * 100_000
        self._now = now

    def __iter__(self) -> Iterator[bytes]:
        """Yield requests, each of another visitor and with ids that have never been sent."""
        for parts, (head, fbp) in zip(itertools.cycle(self._pages), itertools.cycle(self._heads), strict=False):
            at = self._now() - 40
            fill = {TIME: str(at), SENT: str(at + 40), HEAD: head, FBP: fbp, DIGITS: self._digits()}
            filled = list(parts)
            for place in range(1, len(parts), 2):
                if parts[place] == RANDOM:
                    self._event += 1
                    fill[DIGITS] = self._digits()
                    fill[RANDOM] = self._run + fill[DIGITS]
                filled[place] = fill[parts[place]]
            yield "".join(filled).encode()

    def _digits(self) -> str:
        """Return eight digits that no other event of this run has, and that are in no visible order."""
        return f"{self._event % _EIGHT_DIGITS * _SCRAMBLER % _EIGHT_DIGITS:08d}"


def _split(page: str) -> list[str]:
    """Return the text between the marks and the marks, alternating, beginning and ending with text."""
    parts = [""]
    for character in page:
        if character <= FBP:
            parts += (character, "")
        else:
            parts[-1] += character
    return parts


# -- files, and the cookies of an answer


def read(path: Path) -> list[str]:
    """Return the texts in a file of pages or visitors."""
    return path.read_bytes().decode().split(BETWEEN)


def heads(path: Path) -> list[tuple[str, str]]:
    """Return header lines and browser id of each visitor in a file."""
    return [(head, fbp) for head, _, fbp in (text.partition(WITHIN) for text in read(path))]


def keep(cookies: dict[str, str], answer: str) -> None:
    """Set and delete cookies as the ``Set-Cookie`` lines of an answer say."""
    for line in answer.split("\r\n"):
        field, _, value = line.partition(": ")
        if field.lower() == "set-cookie":
            pair, *attributes = value.split("; ")
            name, _, content = pair.partition("=")
            cookies[name] = content
            if "max-age=0" in map(str.lower, attributes):
                del cookies[name]
