"""The script of a week of a shop: who comes, what each page sends and when, and how every event must end.

More than 250 lines: the whole week stands in one place, as a table of what visitors do.

The script does not use the proxy's rules and figures: it notes what it expects as it makes up the events.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

import orjson

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
MONDAY = 1_790_553_600_000
"""A Monday's midnight in UTC."""
VISITORS, BLOCKED, OFFLINE, BOTS, GPC = 1000, 300, 100, 50, 80
SLOT = 30 * MINUTE
"""The requests of one slot are stored together; delivery follows."""
OUTAGE = (MONDAY + 2 * DAY + 9 * HOUR, MONDAY + 2 * DAY + 12 * HOUR)
"""When Graph answers 500: from its begin to before its end."""
SHOP, FEW, CLUB, STRANGERS = "1111", "2222", "3333", "9999"
"""Pixels: of the shop, of the shop for a few event names, of the club, and of no site here."""
FEW_NAMES = frozenset({"PageView", "Purchase"})
ORDER_WAIT = 10 * SECOND
_LAST_START = 7 * DAY - 16 * HOUR
_PRICES = (19_99, 49_00, 5, 129_90)
_CURRENCIES = ("EUR", "EUR", "EUR", "USD", "SEK")


@dataclass
class Visitor:
    """A person with a browser, and what is special about it."""

    number: int
    is_blocked: bool = False
    is_offline: bool = False
    is_bot: bool = False
    has_gpc: bool = False
    has_click: bool = False

    @property
    def fbp(self) -> str:
        return f"fb.1.{MONDAY - DAY}.{10_000 + self.number}"

    @property
    def fbc(self) -> str:
        return f"fb.1.{MONDAY - DAY}.click-{self.number}" if self.has_click else ""

    @property
    def address(self) -> str:
        return f"93.184.{self.number // 250}.{1 + self.number % 250}"


class Expected(NamedTuple):
    """How one event must end for one pixel."""

    site: str
    pixel: str
    name: str
    arrived: int
    status: str
    reason: str = ""
    browser_copy: str = ""
    cents: int | None = None
    """Its value in hundredths of the currency."""
    currency: str = ""
    keys: frozenset[str] = frozenset()
    due: int | None = None
    """The earliest time of its delivery; None if it may be delivered at once."""


@dataclass
class Request:
    """A request that the proxy receives."""

    at: int
    site: str
    visitor: Visitor | None
    """None if the shop's server sends it."""
    body: dict[str, Any]
    expected: list[Expected] = field(default_factory=list)

    @property
    def raw(self) -> bytes:
        return orjson.dumps(self.body)


class Call(NamedTuple):
    """A call of ``fbq`` on a page."""

    at: int
    name: str
    id: str
    cents: int | None = None
    currency: str = ""
    order: str = ""

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = {} if self.cents is None else {"value": self.cents / 100, "currency": self.currency}
        return data | ({"order_id": self.order} if self.order else {})


class Script:
    """Makes up the requests of the week."""

    def __init__(self, seed: int) -> None:
        """Make up a thousand visitors, with randomly chosen troubles; some have several."""
        self._chance = random.Random(seed)  # noqa: S311 - chance of a test
        self._numbers = count(1)
        self.poisoned: set[str] = set()
        """Ids of events that Graph refuses."""
        self.visitors = [Visitor(number) for number in range(VISITORS)]
        for most, trouble in (
            (BLOCKED, "is_blocked"),
            (OFFLINE, "is_offline"),
            (BOTS, "is_bot"),
            (GPC, "has_gpc"),
            (200, "has_click"),
        ):
            for visitor in self._chance.sample(self.visitors, most):
                setattr(visitor, trouble, True)

    def requests(self) -> list[Request]:
        """Return all requests of the week, in order."""
        found = [request for visitor in self.visitors for request in self._visits(visitor)]
        found += [*self._cached(), *self._two_devices(), *self._club()]
        return sorted(found, key=lambda request: request.at)

    # -- visitors of the shop

    def _visits(self, visitor: Visitor) -> Iterator[Request]:
        for session in range(self._chance.choice((1, 1, 2))):
            at = MONDAY + self._chance.randrange(_LAST_START)
            calls = list(self._calls(f"{visitor.number}-{session}", at))
            match = self._match(visitor, calls)
            if visitor.is_offline:
                yield from self._offline(visitor, calls, match)
            else:
                for call in calls:
                    yield from self._told(visitor, call, match)

    def _calls(self, prefix: str, at: int) -> Iterator[Call]:
        chance, currency = self._chance, self._chance.choice(_CURRENCIES)
        cents = chance.choice(_PRICES) * chance.randrange(1, 4)
        yield Call(at, "PageView", f"{prefix}-view")
        if chance.random() < 0.7:
            yield Call(at + 20 * SECOND, "ViewContent", f"{prefix}-seen", cents, currency)
        if chance.random() < 0.4:
            yield Call(at + 50 * SECOND, "AddToCart", f"{prefix}-cart", cents, currency)
        if chance.random() < 0.05:
            yield Call(at + 60 * SECOND, "Search", f"{prefix}-search")
            if chance.random() < 0.5:
                self.poisoned.add(f"{prefix}-search")
        if chance.random() < 0.25:
            yield Call(at + 90 * SECOND, "InitiateCheckout", f"{prefix}-checkout", cents, currency)
            if chance.random() < 0.6:
                order = f"{next(self._numbers)}"
                cents_paid = None if chance.random() < 0.05 else cents
                yield Call(at + 150 * SECOND, "Purchase", f"order-shop-{order}", cents_paid, currency, order)

    def _match(self, visitor: Visitor, calls: Sequence[Call]) -> dict[str, str]:
        """Return the contact data that the page has: of those who reach the checkout, some give an address."""
        if not any(call.name == "InitiateCheckout" for call in calls) or self._chance.random() < 0.3:
            return {}
        phone = {"ph": f"+4930{1_000_000 + visitor.number}"} if self._chance.random() < 0.5 else {}
        return {"em": f"visitor{visitor.number}@mail.example", **phone}

    def _told(self, visitor: Visitor, call: Call, match: dict[str, str]) -> Iterator[Request]:
        """Yield a page's requests for a call.

        The page reports the browser copy at once, or "pending" first and the rest later or never.
        """
        copy, told = self._copy(visitor), self._chance.random()
        at_once = told < 0.7 or visitor.is_bot or visitor.has_gpc
        known = copy if at_once or told < 0.93 else "pending"
        pixels = [SHOP, FEW, STRANGERS] if self._chance.random() < 0.05 else [SHOP, FEW]
        told_first = copy if at_once else "pending"
        yield self._page(visitor, call.at, [call], match=match, pixels=pixels, told=told_first, known=known)
        if not at_once and known != "pending":
            yield self._news(visitor, call.at + 15 * SECOND, [call], known)

    def _copy(self, visitor: Visitor) -> str:
        return "blocked" if visitor.is_blocked else "fired"

    def _offline(self, visitor: Visitor, calls: Sequence[Call], match: dict[str, str]) -> Iterator[Request]:
        """Yield the requests of a browser that was offline: all events at once, hours later."""
        at = calls[-1].at + self._chance.randrange(HOUR, 9 * HOUR)
        knows = self._chance.random() < 0.5 and not (visitor.is_bot or visitor.has_gpc)
        known = self._copy(visitor) if knows else "pending"
        yield self._page(visitor, at, calls, match=match, told="pending", known=known)
        if knows:
            yield self._news(visitor, at + 15 * SECOND, calls, known)

    def _page(
        self,
        visitor: Visitor,
        at: int,
        calls: Sequence[Call],
        *,
        match: dict[str, str] | None = None,
        pixels: Sequence[str] = (SHOP, FEW),
        told: str,
        known: str,
        site: str = "shop",
    ) -> Request:
        """Return what a page posts, with how each event must end.

        Args:
            visitor: The page's visitor.
            at: When it arrives.
            calls: Its events.
            match: The contact data that it has.
            pixels: The pixels of its events.
            told: The status of the browser copies that it sends.
            known: The status of the browser copies in the end.
            site: The page's site.
        """
        events = [
            {"name": call.name, "id": call.id, "at": call.at, "pixels": pixels, "data": call.data, "pixel": told}
            for call in calls
        ]
        body = self._body(visitor, at, events=events)
        match = match or {}
        body["match"] = {pixel: match for pixel in pixels if pixel != STRANGERS} if match else {}
        request = Request(at, site, visitor, body)
        keys = {"fbp", "client_ip_address", "client_user_agent", *match, *(["fbc"] if visitor.has_click else [])}
        for call in calls:
            for pixel in pixels:
                status, reason = self._fate(visitor, call, pixel)
                sent_for = "(other)" if pixel == STRANGERS else pixel
                facts = (call.cents, call.currency if call.cents is not None else "", frozenset(keys))
                request.expected.append(Expected(site, sent_for, call.name, at, status, reason, known, *facts))
        return request

    def _body(self, visitor: Visitor, at: int, **more: Any) -> dict[str, Any]:
        marks = {"webdriver": True} if visitor.is_bot else {}
        return {
            "v": 1,
            "sent": at,
            "url": "https://shop.example/p",
            "fbp": visitor.fbp,
            "fbc": visitor.fbc,
            **marks,
            **more,
        }

    def _fate(self, visitor: Visitor, call: Call, pixel: str) -> tuple[str, str]:
        """Return status and reason; the first applicable reason wins, in the order of the documentation."""
        if pixel == STRANGERS:
            return "dropped", "unknown_pixel"
        if visitor.has_gpc:
            return "dropped", "gpc"
        if visitor.is_bot:
            return "dropped", "bot"
        if pixel == FEW and call.name not in FEW_NAMES:
            return "dropped", "excluded"
        if call.name == "Purchase" and call.cents is None:
            return "dropped", "missing_value"
        return ("dead", "rejected") if call.id in self.poisoned else ("delivered", "")

    def _news(self, visitor: Visitor, at: int, calls: Sequence[Call], copy: str) -> Request:
        fates = [{"name": call.name, "id": call.id, "pixel": copy} for call in calls]
        return Request(at, "shop", visitor, self._body(visitor, at, events=[], fates=fates))

    # -- what goes wrong in pages

    def _honest(self, most: int) -> list[Visitor]:
        """Return some visitors whose events are all accepted."""
        return self._chance.sample([each for each in self.visitors if not (each.is_bot or each.has_gpc)], most)

    def _cached(self) -> Iterator[Request]:
        """Yield visits of a page that is cached with its ids; only a reload by the same visitor is a repeat."""
        at = MONDAY + 4 * DAY
        for number, visitor in enumerate(self._honest(40)):
            call = Call(at + number * 3 * MINUTE, "PageView", "cached-with-the-page")
            copy = self._copy(visitor)
            if number % 3 == 0:
                yield self._page(visitor, call.at, [call], told=copy, known=copy)
                repeat = self._page(visitor, call.at + 40 * SECOND, [call], told=copy, known=copy)
                repeat.expected = [each._replace(status="duplicate") for each in repeat.expected]
                yield repeat
            else:
                yield self._page(visitor, call.at, [call], told="pending", known=copy)
                yield self._news(visitor, call.at + 15 * SECOND, [call], copy)

    def _two_devices(self) -> Iterator[Request]:
        """Yield orders whose page of thanks is opened on a second device: the same id, another visitor."""
        people = self._honest(40)
        for place, (first, second) in enumerate(zip(people[::2], people[1::2], strict=True)):
            order = f"{next(self._numbers)}"
            at = MONDAY + DAY + place * HOUR
            call = Call(at, "Purchase", f"order-shop-{order}", 70_00, "EUR", order)
            match = {"em": f"visitor{first.number}@mail.example"}
            yield self._page(first, at, [call], match=match, told="pending", known=self._copy(first))
            later = call._replace(at=at + 20 * MINUTE)
            yield self._page(second, later.at, [later], told="pending", known=self._copy(second))
            # Updates of both devices under one id, after both events have arrived.
            yield self._news(first, later.at + 30 * SECOND, [call], self._copy(first))
            yield self._news(second, later.at + 40 * SECOND, [later], self._copy(second))

    # -- a club, whose server sends orders too

    def _club(self) -> Iterator[Request]:
        for place, visitor in enumerate(self._honest(60)):
            # Apart from each other, at the beginning of a slot, and not within the outage.
            at = MONDAY + 3 * DAY + place * HOUR // 2
            order, copy = f"c{place + 1}", self._copy(visitor)
            call = Call(at, "Purchase", f"order-club-{order}", 30_00 + place, "EUR", order)
            page = self._page(visitor, at, [call], pixels=[CLUB], told=copy, known=copy, site="club")
            yield from self._order(place % 5, page, call)

    def _order(self, kind: int, page: Request, call: Call) -> Iterator[Request]:
        """Yield the requests for an order, in one of five ways."""
        own = page.expected[0]
        in_place = own._replace(status="duplicate", reason="server_copy")
        if kind == 0:  # only the page: its event waits for the server's, which never comes
            page.expected = [own._replace(due=page.at + ORDER_WAIT)]
            yield page
        elif kind == 1:  # the server shortly after the page: its event replaces the page's
            page.expected = [in_place]
            yield page
            yield self._backend(call, page.at + 3 * SECOND, own.keys)
        elif kind == 2:  # the server shortly before the page
            later = self._backend(call, page.at - 3 * SECOND, own.keys)
            page.expected = [in_place]
            yield later
            yield page
        elif kind == 3:  # only the server
            yield self._backend(call, page.at, frozenset())
        else:  # the server an hour later, when the page's event has been delivered
            page.expected = [own._replace(due=page.at + ORDER_WAIT)]
            yield page
            late = self._backend(call, page.at + HOUR, frozenset())
            late.expected = [each._replace(status="duplicate", due=None) for each in late.expected]
            yield late

    def _backend(self, call: Call, at: int, joined: frozenset[str]) -> Request:
        """Return the server's request for an order.

        Args:
            call: The page's call for the order.
            at: When it arrives.
            joined: The match keys that the event gets from its visitor.
        """
        event = {
            "event_name": "Purchase",
            "event_time": at // 1000,
            "action_source": "website",
            "event_source_url": "https://club.example/",
            "user_data": {"em": [f"{call.id}@mail.example"]},
            "custom_data": call.data,
        }
        keys = frozenset({"em"}) | joined
        facts = (call.cents, call.currency, keys, at + ORDER_WAIT)
        expected = Expected("club", CLUB, "Purchase", at, "delivered", "", "", *facts)
        return Request(at, "club", None, {"data": [event]}, [expected])
