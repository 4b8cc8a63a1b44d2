"""Expensive inputs: texts that, repeated, look like many secrets, and custom data for many events.

The custom data of a burst differs from event to event, so that reading one does not help with the next.
"""

from collections.abc import Callable
from typing import Any

HARD = {
    "telephone numbers": "0049 00 1234567, ",
    "telephone numbers with plus": "+1 ",
    "national numbers": "01/02/2026 ",
    "American numbers": "212-555-123 ",
    "zeros": "00",
    "IBANs": "DE89 ",
    "IBANs, long": "DE00 3704 0044 0532 0130 00 ",
    "cards": "4111 1111 1111 1112 ",
    "coordinates": "1.2345, 181.2345;",
    "base64": "aGVsbG8gd29ybGQg ",
    "base64, alike": "aGVsbG8gd ",
    "words": "abcdefghijklmnopqrs ",
    "long words": "ab/ab-ab_ab+",
    "keys": "aB1-",
    "UUIDs": "123e4567-e89b-12d3-a456-426614174000 ",
    "JWTs": "eyJ",
    "at signs": "a@b ",
    "percent signs": "%2525",
    "ligatures": "\ufdfa",
    "foreign digits": "\u0661",
    "accents": "e\u0301 ",
}

BURSTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "plain": lambda number: {"value": 1.5 + number, "currency": "EUR"},
    "repairs": lambda number: {
        "value": f"1.{100 + number},00", "currency": "eur ", "net_revenue": f"{number},50", "order_id": number,
        "num_items": f"{number}",
    },
    "carts as text": lambda number: {
        "value": number, "currency": "EUR", "contents": f'[{{"id":{number},"quantity":"2"}}]', "order_id": number,
    },
    "contacts": lambda number: {
        "value": number, "currency": "EUR", "a": f"anna{number}@mail.example", "b": f"+49 30 1234{number:03d}",
        "c": f"x{number}@y.de",
    },
    "accounts": lambda number: {
        "value": number, "currency": "XXX", "content_ids": f"DE89370400440532013000{number}",
    },
    "keys": lambda number: {
        "value": number, "currency": "EUR", f"k{number}": f"aB1-aB1-aB1-aB1-{number}aB1-",
        "c": f"https://shop.example/aB1-aB1-aB1-aB1-{number}?x={number}", "d": f"DE89 3704 0044 0532 0130 {number:03d}",
    },
    "addresses": lambda number: {
        "value": number, "currency": "EUR", "u": f"https://shop.example/p{number}?email={number}@x.de",
        "v": f"https://a.example/{number}?token={number}#x", "w": f"http://b.example/{number}",
    },
    "parameters": lambda number: {
        "value": number, "currency": "EUR",
        "u": f"https://a.example/?{'&'.join(f'{number}{letter}' for letter in 'abcdefghijklmnopqrstuvwxyz')}",
    },
    "base64": lambda number: {
        "value": number, "currency": "EUR", "u": f"aGVsbG8gd29ybGQ{number} aGVsbG8gd29ybGQ{number}",
        "v": f"aGVsbG8gd29ybGQ {number}x", "w": f"%25252540{number}",
    },
    "other letters": lambda number: {
        "value": number, "currency": "EUR", f"\u00fc{number}": f"\ufb00\u0661{number}@ ", "v": f"\ufdfa{number}%40",
        "w": f"\uff11\uff12\uff13\uff14{number}",
    },
    "long names": lambda number: {
        "value": number, "currency": "EUR", f"userDataOfABillingAddressAndMore{number}": number,
        f"someThing-of-the_kindOfAnEmailOfThat{number}": number, f"email{number}": number,
    },
}  # fmt: skip
