"""A file of past events as shops have them: many people, several sources, ids of several kinds, and repeated lines."""

import hashlib
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

_DAY_S = 86_400
_WEEK_S, _STORE_S = int(6.5 * _DAY_S), 60 * _DAY_S
"""The greatest ages of the events made, in seconds. Meta takes 7 days, and 62 from physical stores.

The rest is for the time until they are sent at last.
"""
_AGAIN_EVERY, _AGAIN_AFTER = 50, 7
_FIRST = ("Anna", "Björn", "Chloé", "Dmitri", "Elif", "Fatima", "Giulia", "Henrik", "Inés", "Jürgen", "Katarzyna")
_LAST = ("Müller", "Nowak", "O'Brien", "Peeters", "Rossi", "Søndergaard", "Taylor", "Ünal", "Virtanen", "Weiß", "Young")
_PLACES = (("Berlin", "10115", "de"), ("Lyon", "69001", "fr"), ("Gdańsk", "80-001", "pl"), ("Leeds", "LS1 4AP", "gb"))
_GOODS = ("Merino cardigan, navy", "Linen shirt, white", "Rain jacket with hood", "Wool socks, pack of three")
_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
)


def first_line(place: int) -> int:
    """Return the number (from 0) of the line whose content this line repeats; its own number if it repeats none.

    Repeated lines have no id; each is a sale of its own, like two equal rows of a till.
    """
    return place - _AGAIN_AFTER if place % _AGAIN_EVERY == _AGAIN_AFTER else place


def lines_of(place: int, count: int) -> tuple[int, ...]:
    """Return the numbers of all lines with the same content, from the first of them; ``count`` is the file's length."""
    again = place + _AGAIN_AFTER
    return (place, again) if place % _AGAIN_EVERY == 0 and again < count else (place,)


def write(path: Path, count: int, now_s: int) -> None:
    """Write events, one a line.

    Args:
        path: The file.
        count: How many events.
        now_s: The clock, in Unix seconds; all events are older.
    """
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in lines(count, now_s))


def lines(count: int, now_s: int) -> Iterator[bytes]:
    """Yield ``count`` lines, which depend only on the clock; ``receipt`` holds the number of the (first) line."""
    for place in range(count):
        number = first_line(place)
        yield orjson.dumps(_KINDS[number % len(_KINDS)](number, random.Random(number), now_s))


def _event(name: str, source: str, time_s: int, *, person: dict[str, Any], custom: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_name": name,
        "event_time": time_s,
        "action_source": source,
        "user_data": person,
        "custom_data": custom,
    }


def _sale_of_a_till(number: int, chance: random.Random, now_s: int) -> dict[str, Any]:
    """Return a shop-till sale, which has no id of any kind."""
    custom = _basket(number, chance) | {"store": f"branch-{chance.randrange(40)}"}
    time_s = now_s - chance.randrange(3600, _STORE_S)
    return _event("Purchase", "physical_store", time_s, person=_person(number, chance), custom=custom)


def _sale_of_a_shop(number: int, chance: random.Random, now_s: int) -> dict[str, Any]:
    """Return an order of an online shop, with its order number."""
    browser = {
        "client_user_agent": _AGENT,
        "client_ip_address": f"93.184.{chance.randrange(256)}.{chance.randrange(1, 255)}",
        "fbp": f"fb.1.1763000000000.{chance.randrange(1 << 31)}",
    }
    person = {"em": [_digest(f"buyer.{number}@plants.example")], "external_id": [f"customer-{number // 3}"]} | browser
    custom = _basket(number, chance) | {"order_id": str(100_000 + number)}
    time_s = now_s - chance.randrange(3600, _WEEK_S)
    sale = _event("Purchase", "website", time_s, person=person, custom=custom)
    return sale | {"event_source_url": "https://www.shop.example/checkout/thank-you?utm_source=newsletter"}


def _lead(number: int, chance: random.Random, now_s: int) -> dict[str, Any]:
    """Return an event of a CRM, with an id of Meta's lead form that is too large for a double."""
    person = _person(number, chance) | {"lead_id": 10**16 + number}
    custom = _marked(number) | {"event_source": "crm", "lead_event_source": "Leaf CRM", "stage": "qualified"}
    time_s = now_s - chance.randrange(3600, _WEEK_S)
    return _event("Lead", "system_generated", time_s, person=person, custom=custom) | {"event_id": f"crm-{number:x}"}


def _call(number: int, chance: random.Random, now_s: int) -> dict[str, Any]:
    custom = _marked(number) | {"content_category": "fitting", "agent": f"desk {chance.randrange(12)}"}
    time_s = now_s - chance.randrange(3600, _WEEK_S)
    call = _event("Schedule", "phone_call", time_s, person=_person(number, chance), custom=custom)
    return call | {"event_id": "".join(chance.choices(string.ascii_letters, k=22))}


def _subscription(number: int, chance: random.Random, now_s: int) -> dict[str, Any]:
    custom = _marked(number) | {
        "value": 4.99,
        "currency": "eur",
        "predicted_ltv": 59.88,
        "plan": "monthly, two coffees",
    }
    time_s = now_s - chance.randrange(3600, _WEEK_S)
    mail = _event("Subscribe", "email", time_s, person=_person(number, chance), custom=custom)
    return mail | {"event_id": f"{chance.getrandbits(128):032x}"}


# The first kind, which makes every fifth line, has no id: the repeated lines are of this kind.
_KINDS = (_sale_of_a_till, _sale_of_a_shop, _lead, _call, _subscription)


def _person(number: int, chance: random.Random) -> dict[str, Any]:
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
    city, code, country = chance.choice(_PLACES)
    return {
        "em": f"{first}.{last}.{number}@plants.example".lower().replace("'", ""),
        "ph": f"+49 30 {chance.randrange(10**7):07d}",
        "fn": first,
        "ln": last,
        "ct": city,
        "zp": code,
        "country": country,
        "external_id": f"customer-{number // 3}",
    }


def _basket(number: int, chance: random.Random) -> dict[str, Any]:
    price = chance.randrange(500, 20_000) / 100
    item = f"sku-{chance.randrange(8000)}"
    return _marked(number) | {
        "value": price,
        "currency": "EUR",
        "content_type": "product",
        "contents": [{"id": item, "quantity": 1, "item_price": price, "title": chance.choice(_GOODS)}],
    }


def _marked(number: int) -> dict[str, Any]:
    return {"receipt": f"r-{number}"}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
