"""Makes requests to the collect endpoint: bodies and headers as they usually are, with what a stranger might try.

Everything is drawn from ``Choices``, so that the same generator serves a random and a coverage-guided fuzzer.

More than 250 lines: most are samples, and what is drawn for one part of a request decides what is left for the next.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import orjson
from hard import HARD
from received import Received

NOW = 1_764_000_000_000
PIXELS = ("1001", "1002", "1003", "999")
MOST_BODY = 64 * 1024
MOST_HEADER = 8190
_T = TypeVar("_T")


class Choices(Protocol):
    """The source of all decisions."""

    def below(self, most: int) -> int:
        """Return a number from 0 to ``most - 1``."""


class Chance:
    """Random decisions, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable

    def below(self, most: int) -> int:
        """Return a number from 0 to ``most - 1``."""
        return int(self._random.random() * most)


class Bytes:
    """Decisions by bytes that a fuzzer found; after their end always 0."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, most: int) -> int:
        """Return a number from 0 to ``most - 1``."""
        size = ((most - 1).bit_length() + 7) // 8
        number = int.from_bytes(self._data[self._at : self._at + size], "little")
        self._at += size
        return number % most


_CONTACTS = (
    *("anna@mail.example", "+49 30 1234567", "0049301234567", "030 1234567", "(650) 555-1212", "4111111111111111"),
    *("DE89370400440532013000", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "52.520008,13.404954", "2/16/1997"),
    *("12. März 1980", "1980-02-30", "Österreich", "Việt Nam", "Ivory Coast", "München", "10115", "f", "Frau"),
    *("{{email}}", "[object Object]", "undefined", "null", "%email%", "0", "d41d8cd98f00b204e9800998ecf8427e"),
    *("62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f", "9" * 64, "ABCDEF0123456789" * 4),
)
_PIECES = (
    *("", " ", "\t", "\n", "\x00", "\u200b", "\ufeff", "\u00ad", "\u2028", "\U0001f916", "\ufffd", "\u202e", "é", "ß"),
    *(
        "%",
        "%4",
        "%40",
        "%2540",
        "+",
        "&",
        "=",
        "?",
        "#",
        "/",
        "\\",
        "//",
        "..",
        "@",
        ":",
        ";",
        ",",
        '"',
        "'",
        "[",
        "]",
    ),
    *(
        "{",
        "}",
        "<",
        ">",
        "|",
        "^",
        "`",
        "~",
        "!",
        "$",
        "(",
        ")",
        "*",
        "-",
        "_",
        ".",
        "0",
        "00",
        "1",
        "9",
        "a",
        "Z",
        "fb.",
    ),
    *("https://", "http://", "javascript:", "utm_source=", "fbclid=", "for=", "reset", "token", "email", "[redacted]"),
)
_NUMBERS = (
    *(0, 1, -1, 2, 12.5, 0.1, -0.0, 59.7, 1e-9, 1e15, 10**15, 1e20, 1e308, -1e308, 2**31, 2**53, 2**63, 2**64 - 1),
    *(10**13, 4111111111111111, 4930123456, 493012345678, NOW),
)
_NAMES = (
    *("value", "currency", "content_ids", "contents", "content_type", "content_name", "content_category", "num_items"),
    *("order_id", "predicted_ltv", "net_revenue", "delivery_category", "search_string", "status", "email", "id"),
    *("event_id", "eventID", "quantity", "item_price", "billingEmail", "user[phone]", "sku", "title", "note", "url"),
)
_KEYS = (
    *(
        "em",
        "ph",
        "fn",
        "ln",
        "db",
        "ge",
        "ct",
        "st",
        "zp",
        "country",
        "external_id",
        "f5first",
        "f5last",
        "fi",
        "doby",
    ),
    *("dobm", "dobd", "email", "phone_number", "First Name", "lead_id", "fb_login_id", "subscription_id", "madid", "x"),
)
_EVENTS = ("PageView", "Purchase", "Lead", "purchase", "AddToCart", "ViewContent", "Own", "Search", "Purchase")
_CURRENCIES = ("EUR", "usd", "XXX", "EURO", "€", "12", "")
_HOSTS = (
    *(
        "shop.example",
        "www.shop.example",
        "t.shop.example",
        "xn--strae-oqa.de",
        "straße.de",
        "evil.example",
        "null",
        "",
    ),
    *("127.0.0.1:8080", "[::1]", "localhost", "é" * 60, "a." * 120, "shop.example.", "SHOP.example:443", "co.uk"),
)
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605",
    "HeadlessChrome",
    "",
)
_ADDRESSES = (
    *("93.184.216.34", "10.0.0.2", "127.0.0.1", "2606:2800:220:1::34", "::ffff:10.0.0.1", "256.1.1.1", "unknown", ""),
    *("240.0.0.1", "fe80::1%eth0", "[2001:db8::1]:443", "1.2.3.4:80", '"[::1]"', "_hidden", "::1", "0x7f.1"),
)


class Maker:
    """Makes one request."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._room = MOST_BODY

    def facts(self) -> Received:
        """Return a request with everything that a rule reads of it."""
        maybe = self._maybe
        return Received(
            now=NOW,
            entropy=self._choices.below(2**53),
            peer=self._pick(_ADDRESSES[:6]),
            host=self._host(),
            secure=maybe(2),
            origin=f"https://{self._host()}" if maybe(4) else "https://www.shop.example",
            referer=self._address()[:MOST_HEADER] if maybe(2) else "",
            cookie=self._cookies()[:MOST_HEADER],
            user_agent=self._text(2000)[:MOST_HEADER] if maybe(3) else self._pick(AGENTS[: 1 if maybe(2) else None]),
            brands=self._text(300) if maybe(8) else "",
            platform=self._pick(("", '"Windows"', '"Linux"', "x")),
            gpc="1" if maybe(12) else self._pick(("", "0")),
            dnt="1" if maybe(12) else "",
            forwarded=self._forwarded()[:MOST_HEADER],
            forwarded_pseudo=self._pick(_ADDRESSES),
            forwarded_proto=self._pick(("", "https", "http, https", "x" * 100)),
            forwarded_host=self._pick(_HOSTS),
            body=self._body(),
        )

    # -- decisions

    def _maybe(self, one_in: int) -> bool:
        return self._choices.below(one_in) == 0

    def _pick(self, among: Sequence[_T]) -> _T:
        return among[self._choices.below(len(among))]

    def _size(self, most: int) -> int:
        """Return a size, as often small as large, at most what the body has room for."""
        bits = self._choices.below(max(1, min(most, self._room)).bit_length() + 1)
        return min(self._choices.below(2**bits) + 1, most, max(1, self._room))

    # Texts

    def _text(self, most: int = MOST_BODY) -> str:
        makers: tuple[Callable[[int], str], ...] = (
            lambda _: self._pick(_CONTACTS),
            lambda _: self._pick(_EVENTS),
            self._hard,
            self._mixed,
            self._wrapped,
        )
        text = self._pick(makers)(most)
        self._room -= len(text.encode(errors="replace"))
        return text

    def _hard(self, most: int) -> str:
        unit = self._pick(tuple(HARD.values())) if self._maybe(2) else self._pick(_CONTACTS) + self._pick(_PIECES)
        size = self._size(most)
        return (unit * (size // len(unit.encode()) + 1))[:size]

    def _mixed(self, most: int) -> str:
        return "".join(self._pick(_PIECES) for _ in range(self._size(min(most, 40))))

    def _wrapped(self, _most: int) -> str:
        return self._pick(_PIECES) + self._pick(_CONTACTS) + self._pick(_PIECES)

    def _address(self) -> str:
        path = "".join(f"{self._pick(('/', '/', '//'))}{self._text(60)}" for _ in range(self._size(20)))
        query = "&".join(
            f"{self._pick(('utm_source', 'x', 'fbclid', ''))}={self._text(60)}" for _ in range(self._size(20))
        )
        return f"https://{self._host()}{path}?{query}#{self._text(20)}" if self._maybe(2) else self._text(9000)

    def _host(self) -> str:
        return self._text(300) if self._maybe(10) else self._pick(_HOSTS)

    # Headers

    def _cookies(self) -> str:
        names = ("_fbp", "_fbc", "x", "", "_FBP")
        ids = ("fb.1.1763000000000.1116446470", "fb.1.1763000000000.IwAR1", "fb.1.2", "fb." + "9" * 700, "")
        count = self._size(300 if self._maybe(10) else 6)
        pairs = (f"{self._pick(names)}={self._text(200) if self._maybe(4) else self._pick(ids)}" for _ in range(count))
        return self._pick(("; ", ";", ";;")).join(pairs)

    def _forwarded(self) -> str:
        if self._maybe(2):
            return ""
        kinds: tuple[Callable[[], str], ...] = (
            lambda: self._pick(_ADDRESSES),
            lambda: f"for={self._pick(_ADDRESSES)}",
            lambda: f'for="{self._pick(_ADDRESSES)}";proto=https;by={self._pick(_ADDRESSES)}',
            lambda: self._pick(_PIECES) * self._size(500),
            lambda: self._text(200),
        )
        return self._pick((",", ", ", " ;")).join(self._pick(kinds)() for _ in range(self._size(200)))

    # The wire

    def _body(self) -> bytes:
        self._room = self._pick((300, 1000, 1000, 2000, 2000, 5000, 20_000, 40_000))
        wire = self._wire()
        try:
            body = orjson.dumps(wire)
        except TypeError:  # a number or half a character that no JSON of ours holds
            body = orjson.dumps({"v": 1, "sent": NOW, "events": []})
        if self._maybe(20):
            body = self._damaged(body)
        return body[: self._pick((MOST_BODY, MOST_BODY + 1))]

    def _damaged(self, body: bytes) -> bytes:
        at, size = self._choices.below(len(body) + 1), self._size(200)
        pieces = (
            b"",
            b"\\ud83d",
            b"\\u0000",
            b"\xff",
            b"[" * size,
            b'{"a":' * size,
            b"1" * size,
            b"1e999",
            body[:size],
        )
        return body[:at] + self._pick(pieces) + body[at + self._choices.below(3) :]

    def _wire(self) -> Any:
        wire: dict[str, Any] = {"v": 1, "sent": NOW, "url": self._address(), "referrer": self._address()}
        wire |= {
            "fbp": self._pick(("", "fb.1.1763000000000.1116446470", "fb.1.x")),
            "fbc": self._pick(("", "fb.1.1763000000000.IwAR1")),
            "consent": "revoked" if self._maybe(12) else self._pick(("granted", "granted", "unknown")),
            "match": {pixel: self._match() for pixel in PIXELS[: self._choices.below(5)]},
            "events": self._events(),
            "fates": [self._event() for _ in range(self._size(40))] if self._maybe(8) else [],
            "webdriver": self._maybe(20),
            "gpc": self._maybe(20),
        }
        if self._maybe(6):
            wire["dpo"] = self._pick(([["LDU"], 0, 0], [["LDU"], 1, 1000], [[], 0, 0], "LDU", [[], 2**60, -1], 1))
        if self._maybe(20):
            wire[self._pick(tuple(wire))] = self._value(0)
        return wire if not self._maybe(60) else self._value(0)

    def _match(self) -> dict[str, Any]:
        def value() -> Any:
            return [self._text(600) for _ in range(self._size(30))] if self._maybe(3) else self._value(3)

        return {self._pick(_KEYS): self._text(600) if self._maybe(2) else value() for _ in range(self._size(12))}

    def _events(self) -> list[Any]:
        if self._maybe(3):
            return [self._event() for _ in range(self._size(12))]
        count = self._pick((1, 1, 1, 2, 10, 100, 200, 201, 500))
        event = self._event()
        size = len(orjson.dumps(event, default=str))
        return [event | {"id": f"id-{number}"} for number in range(min(count, 1 + self._room // size))]

    def _event(self) -> dict[str, Any]:
        event: dict[str, Any] = {
            "name": self._text(120) if self._maybe(6) else self._pick(_EVENTS),
            "id": self._text(220) if self._maybe(6) else f"id-{self._choices.below(10**6)}",
            "at": NOW - (8 * 86_400_000 if self._maybe(12) else self._pick((40, 0, -5000))),
            "pixels": list(PIXELS[: self._choices.below(5) or 1]),
            "data": self._data(),
            "pixel": self._pick(("fired", "blocked", "pending")),
        }
        if self._maybe(20):
            event[self._pick(tuple(event))] = self._value(2)
        return event

    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = {"value": self._pick(_NUMBERS), "currency": self._pick(_CURRENCIES)}
        for _ in range(self._size(12)):
            data[self._text(100) if self._maybe(6) else self._pick(_NAMES)] = self._value(0)
        return data

    def _value(self, depth: int) -> Any:
        self._room -= 4
        plain: tuple[Callable[[], Any], ...] = (
            *(self._text, self._text, self._text),
            lambda: self._pick(_NUMBERS),
            lambda: self._pick((None, True, False, "", "0", "12,50", "1.299,00")),
        )
        deep: tuple[Callable[[], Any], ...] = (
            lambda: {self._pick(_NAMES): self._value(depth + 1) for _ in range(self._size(12))},
            lambda: [self._value(depth + 1) for _ in range(self._size(20))],
            self._repeated,
            self._nested,
        )
        return self._pick((*plain, *deep) if depth < 4 and self._room > 0 else plain)()

    def _repeated(self) -> Any:
        element: Any = self._pick((1, "", "a", "1", None, [], {}, {"id": 1}, 1.5, self._text(40)))
        count = self._size(32_000) // max(1, len(orjson.dumps(element)) // 2)
        self._room -= count * (len(orjson.dumps(element)) + 1)
        if self._maybe(3):
            return {f"k{number}": element for number in range(min(count, 8000))}
        return [element] * count

    def _nested(self) -> Any:
        value: Any = self._text(20)
        for _ in range(self._size(100)):
            value = [value] if self._maybe(2) else {"a": value}
        return value
