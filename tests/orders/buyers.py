"""Made-up people, their browsers and orders: households, guests, and what pages and servers report, and when."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from clock import NOON

SECOND, DAY = 1_000, 86_400_000
BROWSER_KEYS = ("fbp", "fbc", "client_ip_address", "client_user_agent")


@dataclass
class Browser:
    """A browser of a person."""

    fbp: str
    fbc: str
    address: str
    user_agent: str
    gpc: bool = False
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, str]:
        """Return what events of this browser have."""
        return dict(zip(BROWSER_KEYS, (self.fbp, self.fbc, self.address, self.user_agent), strict=True))


@dataclass
class Person:
    """A buyer."""

    email: str
    account: str
    browsers: Sequence[Browser]


@dataclass
class Order:
    """An order, and when its reports arrive; None for one that never does."""

    id: str
    person: Person
    browser: Browser
    checkout_at: int
    checkout_tells_email: bool
    page_at: int | None
    page_id: str
    page_tells_email: bool
    server_at: tuple[int, ...]
    """The time of the first report, and of repeats."""


def people(chance: random.Random, most: int) -> list[Person]:
    """Return people in households; some households share an e-mail address, and each shares an IP address."""
    found: list[Person] = []
    numbers = count(1)
    while len(found) < most:
        house = next(numbers)
        shares = chance.random() < 0.3
        for member in range(chance.choice((1, 1, 2, 3))):
            is_guest = chance.random() < 0.4
            gpc = chance.random() < 0.03
            browsers = [
                Browser(
                    fbp=f"fb.1.{NOON - DAY + next(numbers)}.{chance.randrange(10**9)}",
                    fbc=f"fb.1.{NOON - DAY}.click{house}x{member}x{device}",
                    # Some thousand customers of a carrier, or one household, have the same address.
                    address=f"93.184.{house % 40}.{house % 7}",
                    user_agent=f"Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.{house}.{member * 10 + device}",
                    gpc=gpc,
                )
                for device in range(2 if chance.random() < 0.1 else 1)
            ]
            email = f"house{house}@mail.example" if shares else f"person{house}.{member}@mail.example"
            found.append(Person(email, "0" if is_guest else f"account-{house}-{member}", browsers))
    return found


def orders(chance: random.Random, buyers: Sequence[Person], number: int, days: float = 6) -> list[Order]:
    """Return a number of orders that were placed within some days.

    One in ten lacks the page's copy, one in ten lacks the server's, and the server reports one in twenty twice.
    """
    found = []
    for place in range(number):
        person = chance.choice(buyers)
        browser = chance.choice(person.browsers)
        bought_at = NOON + int(chance.random() * days * DAY)
        page_at: int | None = bought_at + chance.choice((0, 5, 20, 50, 100, 3600)) * SECOND + chance.randrange(SECOND)
        server_at: tuple[int, ...] = (bought_at + chance.choice((-20, 1, 10, 40, 200, 7200)) * SECOND,)
        missing = chance.random()
        if missing < 0.1:
            page_at = None
        elif missing < 0.2:
            server_at = ()
        elif missing < 0.25:
            server_at = (*server_at, server_at[0] + chance.choice((0, 1, 3600)) * SECOND)
        identity = f"order-shop-{10_000 + place}" if chance.random() < 0.5 else f"own-{chance.randrange(10**12)}"
        found.append(
            Order(
                id=str(10_000 + place),
                person=person,
                browser=browser,
                # The server may report an order 20 s before its thank-you page, but never before the checkout.
                checkout_at=bought_at - chance.randrange(30, 1800) * SECOND,
                checkout_tells_email=chance.random() < 0.8,
                page_at=page_at,
                page_id=identity,
                page_tells_email=chance.random() < 0.5,
                server_at=server_at,
            )
        )
    return found
