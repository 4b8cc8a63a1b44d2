"""What the rules cost: processor time of ``ingest`` for a request, relative to ``orjson.loads`` of its body.

Both are measured in turn, and all bodies differ. Processor time counts, so that other programs on the machine matter
less. Each visitor has an address of its own and returns with the cookies that the first answer set. Names and towns
come from a few hundred, browsers from a few dozen, as on a shop's pages; e-mail addresses and phone numbers do not
repeat.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_network

import click
import orjson
from rig import SECRET, PinnedMachine, browser_headers, start, table, workplace

from proxy.config import load
from proxy.installation import Installation
from proxy.model.request import BrowserRequest
from proxy.rules import tables
from proxy.rules.browser import ingest
from proxy.rules.policy import Policy
from proxy.rules.request.client_address import Networks, client_of

_PIXEL = "1001"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _word(chance: random.Random, most: int = 9) -> str:
    return "".join(chance.choices(_LETTERS, k=chance.randint(4, most)))


class Pages:
    """Makes request bodies like those that the tag sends from a shop's pages."""

    def __init__(self) -> None:
        self._chance = random.Random(1)
        self._names = [_word(self._chance).title() for _ in range(300)]

    def page_view(self) -> bytes:
        """Return an anonymous PageView."""
        return self._body("PageView", {}, {})

    def purchase(self) -> bytes:
        """Return a Purchase of a customer who gave all contact data."""
        pick, chance = self._chance.choice, self._chance
        contact = {
            "em": f"{_word(chance)}.{_word(chance)}@example.com",
            "ph": f"+49 30 {chance.randrange(10**6, 10**7)}",
            "fn": pick(self._names),
            "ln": pick(self._names),
            "ct": pick(self._names),
            "zp": str(chance.randrange(10_000, 99_999)),
            "st": "be",
            "country": "de",
            "external_id": str(chance.randrange(10**8)),
        }
        products = [{"id": f"sku-{chance.randrange(9999)}", "quantity": 1, "item_price": 19.9} for _ in range(3)]
        data = {
            "value": 59.7,
            "currency": "EUR",
            "contents": products,
            "content_ids": [product["id"] for product in products],
            "content_type": "product",
            "order_id": str(chance.randrange(10**8)),
            "num_items": 3,
        }
        return self._body("Purchase", contact, data)

    def _body(self, name: str, contact: dict[str, str], data: dict[str, object]) -> bytes:
        identity = f"{self._chance.getrandbits(128):032x}"
        event = {"name": name, "id": identity, "at": _NOW - 40, "pixels": [_PIXEL], "data": data, "pixel": "fired"}
        return orjson.dumps(
            {
                "v": 1,
                "sent": _NOW,
                "url": f"https://www.shop.example/p/{_word(self._chance)}?utm_source=meta&utm_medium=paid&ref=9",
                "referrer": "https://www.shop.example/women/shoes",
                "fbp": f"fb.1.1763000000000.{self._chance.getrandbits(31)}",
                "consent": "granted",
                "match": {_PIXEL: contact} if contact else {},
                "events": [event],
            }
        )


_PROXIES = Networks([ip_network("127.0.0.1/32")])
_NOW = time.time_ns() // 1_000_000


def _request(body: bytes, cookie: str = "") -> BrowserRequest:
    headers = browser_headers()
    chance = random.Random(body)
    return BrowserRequest(
        now=_NOW,
        entropy=int.from_bytes(body[-40:-24]),
        client=client_of("127.0.0.1", _address(chance), _PROXIES),
        host="t.shop.example",
        origin=headers["Origin"],
        referer=headers["Referer"],
        cookie=f"{headers['Cookie']}; {cookie}" if cookie else headers["Cookie"],
        user_agent=headers["User-Agent"].replace("156", str(chance.randrange(130, 160))),
        brands=headers["sec-ch-ua"],
        platform=headers["sec-ch-ua-platform"],
        secure=True,
        body=body,
    )


def _address(chance: random.Random) -> str:
    """Return the address of a private household's connection; half of them are IPv6 addresses."""
    if chance.random() < 0.5:
        return f"2003:{chance.getrandbits(16):x}:{chance.getrandbits(16):x}:0:{chance.getrandbits(16):x}::1"
    return f"91.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"


def _policy() -> Policy:
    with workplace() as place:
        config = load.load(PinnedMachine(place / "proxy", "http://127.0.0.1:1", limited=True).config, {})
    (policy,) = Installation(config, SECRET).policies().values()
    return policy


def _returning(body: bytes, policy: Policy) -> BrowserRequest:
    """Return a request with the cookies that the answer to an earlier request of this visitor set."""
    decision = ingest(_request(body), policy)
    if decision.refused or not decision.records or not decision.cookies:
        raise RuntimeError("the request was not taken")
    return _request(body, "; ".join(cookie.partition(";")[0] for cookie in decision.cookies))


def _us(work: Callable[[], object], count: int) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) / count * 1e6


def measure(bodies: Sequence[bytes], policy: Policy) -> tuple[float, float]:
    """Return the µs that ``ingest`` takes for a request, and those of ``orjson.loads`` for its body."""
    requests = [_returning(body, policy) for body in bodies]
    rules = _us(lambda: [ingest(request, policy) for request in requests], len(requests))
    return rules, _us(lambda: [orjson.loads(body) for body in bodies], len(bodies))


def bench(count: int, size: int) -> None:
    """Measure both kinds of event in turn, and print the table."""
    tables.prepare()  # as ``serve`` does
    pages = Pages()
    policy = _policy()
    kinds = {"PageView, anonymous": pages.page_view, "Purchase, all contact data": pages.purchase}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    sizes = {name: len(make()) for name, make in kinds.items()}
    for number in range(count + 1):
        for name, make in kinds.items():
            taken = measure([make() for _ in range(size)], policy)
            if number:
                found[name].append(taken)
        if not number:
            gc.freeze()  # as ``serve`` does
    rows = []
    for name, taken_ in found.items():
        rules, loads = (statistics.median(pair[place] for pair in taken_) for place in (0, 1))
        times = statistics.median(rules_us / loads_us for rules_us, loads_us in taken_)
        rows.append((name, sizes[name], f"{rules:.1f}", f"{loads:.2f}", f"{times:.1f}"))
    print(f"{count} rounds of {size} requests of each kind")
    table(("", "bytes", "ingest us", "loads us", "ingest / loads"), rows)


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds.")
def main(*, quick: bool) -> None:
    """Cost of the rules, relative to parsing."""
    start()
    bench(*(5, 500) if quick else (30, 2000))


if __name__ == "__main__":
    main()
