"""Secrets that must not leave, the encodings and places they are tried in, and harmless texts that must pass."""

import base64
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import quote

import phonenumbers
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat
from stdnum import numdb

from proxy.rules.payload.shape_patterns import Shape

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_CAPITALS, _DIGITS = _LETTERS.upper(), "0123456789"
_OF_ACCOUNTS = {"a": _CAPITALS, "n": _DIGITS, "c": _CAPITALS + _DIGITS}
# Country → the parts of its account numbers, as the package takes them from SWIFT's registry.
ACCOUNTS = {
    country: parts
    for country in (first + second for first in _CAPITALS for second in _CAPITALS)
    if (parts := numdb.get("iban").info(country)[0][1].get("bban"))
}
_CALLED = ["DE", "GB", "FR", "US", "NL", "ES", "IT", "PL", "SE", "BR", "IN", "JP", "AU", "ZA", "MX", "TR", "DK", "CH"]
_TRUNK_ZERO = ["DE", "GB", "FR", "NL", "AT", "CH", "BE", "AU", "ZA", "JP"]


def email(chance: Random) -> str:
    user = "".join(chance.choices(_LETTERS + "0123456789", k=chance.randint(1, 12)))
    tail = chance.choice(["", ".li", "+shop", "_1", "-x"])
    return f"{user}{tail}@{''.join(chance.choices(_LETTERS, k=chance.randint(2, 12)))}.{chance.choice(_TLDS)}"


_TLDS = ["de", "com", "co.uk", "info", "museum", "xn--p1ai"]


def phone(chance: Random) -> str:
    national = chance.random() < 0.3
    region = chance.choice(_TRUNK_ZERO if national else _CALLED)
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    text = phonenumbers.format_number(example, PhoneNumberFormat.E164)[:-3] if example else ""
    number = phonenumbers.parse(f"{text}{chance.randrange(1000):03}")
    if national:
        return phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    text = phonenumbers.format_number(number, chance.choice([PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL]))
    return chance.choice([text, text.replace("+", "00")])


def card(chance: Random) -> str:
    front, length = chance.choice([("4", 16), ("51", 16), ("2345", 16), ("37", 15), ("6011", 16), ("3530", 16)])
    digits = front + "".join(chance.choices("0123456789", k=length - len(front) - 1))
    digits += next(last for last in "0123456789" if _luhn(digits + last))
    grouped = " ".join([digits[:4], digits[4:10], digits[10:]] if length == 15 else _fours(digits))
    return chance.choice([digits, grouped, grouped.replace(" ", "-")])


def _luhn(digits: str) -> bool:
    values = [int(d) * (1 + place % 2) for place, d in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in values) % 10 == 0


def _fours(text: str) -> list[str]:
    return [text[start : start + 4] for start in range(0, len(text), 4)]


def iban(chance: Random) -> str:
    plain = iban_of(chance.choice(sorted(ACCOUNTS)), chance)
    return chance.choice([plain, plain.lower(), " ".join(_fours(plain)), "-".join(_fours(plain))])


def iban_of(country: str, chance: Random) -> str:
    parts = re.findall(r"([0-9]+)!([anc])", ACCOUNTS[country])
    account = "".join("".join(chance.choices(_OF_ACCOUNTS[kind], k=int(size))) for size, kind in parts)
    rest = int("".join(str(int(c, 36)) for c in account + country + "00")) % 97
    return f"{country}{98 - rest:02}{account}"


def jwt(chance: Random) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": str(chance.randrange(10**9)), "name": email(chance)})
    return ".".join([*(_base64url(json.dumps(part)) for part in parts), _key(chance, 32)])


def coordinates(chance: Random) -> str:
    places = chance.randint(4, 7)
    pair = f"{chance.uniform(-90, 90):.{places}f}", f"{chance.uniform(-180, 180):.{places}f}"
    return chance.choice([",", ", ", ";"]).join(pair)


def token(chance: Random) -> str:
    return chance.choice([chance.randbytes(chance.choice([16, 20, 32])).hex(), _key(chance, 32)])


def _key(chance: Random, size: int) -> str:
    return base64.urlsafe_b64encode(chance.randbytes(size)).decode().rstrip("=")


SECRETS: dict[Shape, Callable[[Random], str]] = {
    Shape.EMAIL: email,
    Shape.PHONE: phone,
    Shape.CARD: card,
    Shape.IBAN: iban,
    Shape.JWT: jwt,
    Shape.COORDINATES: coordinates,
    Shape.TOKEN: token,
}


def _base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _every_byte(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as browsers do": lambda text: quote(text, safe="@+:,;()=."),
    "percent": lambda text: quote(text, safe=""),
    "percent, every byte": _every_byte,
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "base64": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "base64 for addresses": _base64url,
}
ADDRESSES: dict[str, Callable[[str], str]] = {
    "path": lambda secret: f"https://shop.example/{secret}",
    "within a path": lambda secret: f"https://shop.example/account/{secret}/orders?utm_source=meta",
    "allowed parameter": lambda secret: f"https://shop.example/p?utm_source=meta&utm_content={secret}",
    "owner's parameter": lambda secret: f"https://shop.example/p?sku={secret}&utm_source=meta",
    "other parameter": lambda secret: f"https://shop.example/p?x={secret}&utm_source=meta",
    "name of a parameter": lambda secret: f"https://shop.example/p?{secret}=1&utm_source=meta",
    "fragment": lambda secret: f"https://shop.example/p#{secret}",
    "user": lambda secret: f"https://{secret.replace('/', '%2F')}@shop.example/p",
}
TEXTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "text": lambda secret: {"content_name": secret},
    "sentence": lambda secret: {"search_string": f"please ask {secret} about it"},
    "list": lambda secret: {"tags": ["new", secret]},
    "deep": lambda secret: {"a": {"b": [{"c": [[secret]]}]}},
    "name of a member": lambda secret: {secret: 1},
    "address": lambda secret: {"page": f"https://shop.example/p?utm_content={quote(secret, safe='')}#x"},
}


@st.composite
def secrets(draw: st.DrawFn) -> tuple[Shape, str]:
    shape = draw(st.sampled_from(sorted(SECRETS)))
    return shape, SECRETS[shape](Random(draw(st.integers(0, 2**32))))  # noqa: S311 - the same each time


# Paths and values of ordinary pages: words, SKUs, order numbers, EAN and ISBN, dates, versions, ids.
HARMLESS = """
/ /p /women/shoes /de/damen/schuhe/sneaker /en-GB/men/new-in /collections/all /products/linen-shirt
/products/linen-shirt-white-size-xl /products/mens-running-shoes-blue-size-42-nike-air
/products/iphone-15-pro-max-256gb /products/iPhone-15-Pro-Max-256GB-Black-Titan /p/MensRunningShoesAirZoomPegasus40
/p/SofaKlippanTwoSeater /blog/10-tips-for-a-better-sleep-in-2026 /blog/2026/11/25/black-friday
/blog/2026-11-25-black-friday-deals /blog/2026-11-25T10-00-00Z /events/25.11.2026 /events/01.02.2026
/events/01-02-2026 /events/20261125 /sale/50%25-off /p/4006381333931 /p/036000291452 /p/96385074 /p/00036000291452
/p/10614141000415 /isbn/9783161484100 /isbn/978-3-16-148410-0 /p/12345 /p/1234567 /p/123456789 /p/9876543210
/p/1234567890123 /p/100000000000001 /order/100234 /order/2026-000123 /order/ORD-2026-11-0042 /order/1234-5678-90
/order/0001234567 /checkout/step2 /checkout/confirm /login /password/reset /account/verify /cart /cart/42
/cart/gid-shopify-Cart-1 /search/red+shoes /sku/AB-1234-XL /sku/SKU00012345 /sku/HT-4402-BLK-42 /sku/X1Y2Z3
/sku/B08N5WRWNW /sku/B0C1H26C46 /sku/MK-100.200.30 /p/nike-AB12CD34EF-black-shoes
/p/3f2504e0-4f89-11d3-9a0c-0305e82c3301 /p/sofa-3f2504e0-4f89-11d3-9a0c-0305e82c3301
/p/7d444840-9dc0-11d1-b245-5ffdce74fad2/reviews /p/550E8400-E29B-41D4-A716-446655440000 /v/1.2.3 /v/10.15.7
/v/2.0.0-rc.1 /docs/v1.10.2/install /npm/react@18.2.0/index /npm/@scope/package /@anna/post /maps/@52.5,13.4,15z
/img/logo@2x.png /assets/app.3f2a9c1b.js /assets/main-BxYz12.css /p/a /p/a/b/c/d/e/f/g /p/x-y-z /p/under_scored_name
/p/Straße /p/b%C3%BCcher /p/caf%C3%A9-cr%C3%A8me /p/%D0%BA%D0%BD%D0%B8%D0%B3%D0%B0 /p/書籍 /p/τσάντα
/p/kyoto-%E6%9C%AC /p/damenlederhandschuhe-schwarz-groesse-38 /p/rechtsschutzversicherungsgesellschaften
/p/donaudampfschifffahrt /p/LED-Deckenleuchte-24W-3000K-dimmbar /p/ddr5-6000-32gb-kit-cl30 /p/rtx-4090-24gb-gddr6x
/p/usb-c-to-usb-a-3.2-gen2 /p/55-zoll-4k-oled-tv-2026 /p/mp3-player-16gb /p/1080p-webcam /p/size-36-38-40-42
/p/w32-l34 /p/100-200-300 /p/2x4-lumber-8ft /p/10x20x30cm /p/12.5-inch /p/3-for-2 /p/24-7-support /p/covid-19-test
/p/h2o /p/c3po-r2d2-set /p/ps5-digital-edition /p/xbox-series-x-1tb /p/bmw-320d-2019-m-sport /p/vw-golf-8-gti
/p/a4-paper-500-sheets /p/din-en-iso-9001-2015 /p/iso27001 /p/rfc2616 /c/123/456/789 /c/12-34-56
/c/women-clothing-dresses-summer-2026 /shop/category/accessories/bags/leather-bags /index.php /index.html
/catalog/product/view/id/1234/s/blue-shirt /wp-content/uploads/2026/11/image-1024x768.jpg /ads.txt /sitemap.xml
/feed/rss.xml /de_DE/home /fr-fr /pages/about-us /pages/terms-and-conditions /pages/privacy-policy /faq /contact
/store/berlin-mitte /store/10115 /store/10115-berlin /hotel/4711 /flight/LH-0400 /flight/BER-JFK/2026-12-24
/rooms/2-adults-1-child /tickets/row-12-seat-34 /job/ref-88120 /wine/chateau-margaux-2015 /book/1984
/book/fahrenheit-451 /movie/2001-a-space-odyssey /song/99-luftballons /hash/abcdef /t/aGVsbG8 /t/YmxhY2s /t/deadbeef
/t/cafebabe12 /p/0815 /p/007 /p/1-800-flowers /p/B-52 /p/24-karat-gold-585-333 ?utm_source=facebook
?utm_source=fb&utm_medium=paid ?utm_campaign=black-friday-2026 ?utm_campaign=BF_2026_DE_Retargeting_30d
?utm_campaign=120208123456789012 ?utm_content=120210987654321098 ?utm_id=23851234567890123 ?utm_id=6123456789012
?utm_term=red+running+shoes ?utm_term=schuhe%20damen ?utm_content=ad-1_variant-b ?utm_content=Video_15s_9x16_v3
?utm_campaign=Summer+Sale+2026-06-01 ?utm_campaign=sale+20261125 ?utm_source=newsletter_kw48 ?utm_medium=e-mail
?utm_campaign=%7B%7Bcampaign.name%7D%7D ?utm_content=5@home ?utm_term= ?utm_source=meta&utm_id=1
?utm_campaign=Q4|DE|Prospecting ?utm_campaign=DE-AT-CH_Advantage%2B_Shopping ?utm_content=carousel_01_02_03
?utm_campaign=a/b-test ?utm_source=ig
""".split()  # noqa: SIM905 - as many quotes would hide the words
# Harmless texts that are mistaken for secrets: an ObjectId, an ISBN-10 that begins with 0, a licence key.
MISTAKEN = ["/p/507f1f77bcf86cd799439011", "/isbn/0306406152", "/key/AB12CD34-EF56GH78-IJ90KL12"]
