"""Secrets by their shape: does a text hold what identifies or admits somebody?

Everything is told from the text alone, in time that grows with its length. Shapes that other things have too are proved
by their check digits (cards: Luhn, ISO/IEC 7812; accounts: mod 97, ISO 13616) or numbering plan. What is left to doubt:
a telephone number without ``+``, ``00``, leading zero or separators is not told from other numbers, and a national one
with leading zero (10 or 11 digits) is not told from an ISBN-10.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from enum import StrEnum
from unicodedata import normalize
from urllib.parse import unquote

import phonenumbers


class Shape(StrEnum):
    """What was found; also its metric label."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    JWT = "jwt"
    COORDINATES = "coordinates"
    TOKEN = "token"  # noqa: S105 - a word


# Four characters of base64 that stand for three printable ASCII characters.
_BASE64_OF_ASCII = r"[I-Za-f][C-HS-Xi-ny-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"


def _hint(word: str) -> re.Pattern[str]:
    """Return what every shape has at least, so that most texts are looked at once only."""
    return re.compile(
        rf"""[@%]
           | [0-9](?:[\W_]{{0,3}}[0-9]){{6}}
           | {word}{{20}}
           | {_BASE64_OF_ASCII}{word}{{4}}
           | [A-Za-z]{{2}}[0-9]{{2}}[\ +-]?[A-Za-z0-9]{{4}}""",
        re.ASCII | re.VERBOSE,
    )


_HINT = _hint("[A-Za-z0-9+/_-]")
_HINT_IN_PATH = _hint("[A-Za-z0-9+_-]")
_SHORTEST = 6  # a@b.de

# One character before the at sign is proof enough; looking for more of them would cost time squared. Pictures for
# dense screens are named logo@2x.png.
_MAIL = re.compile(r"[^\s@/]@(?![1-9]x\.(?:png|jpe?g|webp|avif|gif|svg))[^\s@/]+\.[^\W\d_]{2}")
_MANY_DIGITS = re.compile(r"[0-9](?:[\W_]{0,3}[0-9]){6}", re.ASCII)
_WITH_PLUS = re.compile(r"(?<![0-9A-Za-z])\+[ (]{0,2}[1-9](?:[ ()./_-]{0,3}[0-9]){7,13}(?![0-9])")
_WITH_ZEROS = re.compile(r"(?<![0-9A-Za-z])00([1-9](?:[ ()./_-]{0,3}[0-9]){7,13})(?![0-9])")
_NATIONAL = re.compile(r"(?<![0-9A-Za-z])(?<![0-9][.,-])\(?(0[1-9](?:[ ()./_-]{0,3}[0-9]){7,10})(?![0-9])")
_NORTH_AMERICAN = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9][.,-])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])"
    r"[2-9][0-9]{2}[ .-][0-9]{4}(?![0-9])"
)
_DATE = re.compile(r"[0-9]{2}([./-])[0-9]{2}\1(?:19|20)[0-9]{2}")
_NO_DIGITS = re.compile(r"[^0-9]+")
_CARD = re.compile(
    r"(?<![0-9])(?<![0-9][.,])"
    r"(?:[2-6][0-9]{13,18}|[2-6][0-9]{3}(?:[ -][0-9]{4}){3}|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})(?![0-9])"
)
# Issuer prefix → lengths (ISO/IEC 7812 ranges as the card schemes publish them).
_ISSUED = re.compile(
    r"""4[0-9]{15}(?:[0-9]{3})? | 5[1-5][0-9]{14} | 2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}
      | 3[47][0-9]{13} | 3(?:0[0-5]|[68][0-9])[0-9]{11} | 35(?:2[89]|[3-8][0-9])[0-9]{12,15}
      | (?:5[06-9]|6[0-9])[0-9]{14,17}""",
    re.VERBOSE,
)
_ACCOUNT = re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}))")
# Length of an IBAN by country (SWIFT, IBAN registry); no other country has any.
_ACCOUNT_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
        22: "BG BH DE GB GE IE ME RS", 23: "AE GI IL IQ TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "PT ST LY", 26: "IS TR", 27: "FR GR IT MC MR SM", 28: "AL AZ CY DO GT HU LB PL", 29: "BR EG PS QA UA",
        30: "JO KW MU", 31: "MT SC", 32: "LC",
    }.items()
    for country in countries.split()
}  # fmt: skip
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,512}\.[A-Za-z0-9_-]{2}")
# Three decimals are a hundred metres.
_COORDINATES = re.compile(
    r"(?<![0-9.])(-?[0-9]{1,3}\.[0-9]{3,17})[^0-9A-Za-z.-]{1,3}(-?[0-9]{1,3}\.[0-9]{3,17})(?!\.?[0-9])"
)
_LONG_WORD = re.compile(r"[A-Za-z0-9+/_-]{20,}")
_UUID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE)
_PARTS = re.compile(r"[A-Za-z0-9]+")
_CHUNKS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
# More of a part tells nothing new, and looking for digits between letters costs time squared.
_PART_MAX = 128
_HEXADECIMAL = re.compile(r"[0-9a-f]{20,}|[0-9A-F]{20,}")
_DIGITS_WITHIN = re.compile(r"(?:[A-Za-z]+[0-9]+){2}[A-Za-z]")
_VOWEL = re.compile(r"[aeiouy]", re.IGNORECASE)
_BASE64 = re.compile(rf"(?<![A-Za-z0-9+/_-]){_BASE64_OF_ASCII}[A-Za-z0-9+/_-]{{4,}}")
_TO_URLSAFE = str.maketrans("+/", "-_")


def shape_of(text: str, *, is_id: bool = False) -> Shape | None:
    """Return the first shape that a text holds: as it stands, percent-encoded (up to twice), or in base64.

    Args:
        text: Any text.
        is_id: The text names a product or an order, so only what is certain by itself counts: shops number and name
            their goods in ways that look like cards, telephone numbers and tokens.
    """
    # Words and names of members are most of all texts.
    if len(text) < _SHORTEST or (text.islower() and text.replace("_", "").isalpha()):
        return None
    if text.isascii() and not _HINT.search(text):
        return None
    plain = unquote(unquote(text)) if "%" in text else text
    if not plain.isascii():
        plain = normalize("NFKC", plain)
    find = _certain_in if is_id else _plain_in
    return find(plain) or _encoded_in(plain, find) or (None if is_id else _token_in(plain))


def hints(path: str) -> bool:
    """Tell whether any segment of a path may hold a shape; most do not."""
    return not path.isascii() or _HINT_IN_PATH.search(path) is not None


def is_key(text: str) -> bool:
    """Tell whether a text is a key, given that it stands where keys stand; there, short ones and UUIDs are some."""
    return len(text) >= 8 and (_UUID.fullmatch(text) is not None or _is_noise(text))


def _certain_in(plain: str) -> Shape | None:
    if "@" in plain and _MAIL.search(plain):
        return Shape.EMAIL
    if "eyJ" in plain and _JWT.search(plain):
        return Shape.JWT
    if any(_is_account(match[1]) for match in _ACCOUNT.finditer(plain)):
        return Shape.IBAN
    return Shape.PHONE if "+" in plain and _WITH_PLUS.search(plain) else None


def _plain_in(plain: str) -> Shape | None:
    return _certain_in(plain) or (_number_in(plain) if _MANY_DIGITS.search(plain) else None)


def _number_in(plain: str) -> Shape | None:
    if any(_is_card(match[0]) for match in _CARD.finditer(plain)):
        return Shape.CARD
    if any(_is_position(*match.groups()) for match in _COORDINATES.finditer(plain)):
        return Shape.COORDINATES
    called = any(_is_called(match[1]) for match in _WITH_ZEROS.finditer(plain))
    national = any(_is_national(match[1]) for match in _NATIONAL.finditer(plain))
    return Shape.PHONE if called or national or _NORTH_AMERICAN.search(plain) else None


def _encoded_in(plain: str, find: Callable[[str], Shape | None]) -> Shape | None:
    found = (find(_decoded(word)) for word in _BASE64.findall(plain))
    return next((shape for shape in found if shape), None)


def _token_in(plain: str) -> Shape | None:
    return Shape.TOKEN if any(map(_is_noise, _LONG_WORD.findall(plain))) else None


def _decoded(word: str) -> str:
    text = word.translate(_TO_URLSAFE)
    try:
        decoded = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return ""
    return decoded if decoded.isprintable() else ""


def _is_account(candidate: str) -> bool:
    text = candidate.replace(" ", "").replace("-", "").upper()
    length = _ACCOUNT_LENGTHS.get(text[:2], 0)
    if not 0 < length <= len(text):
        return False
    return int("".join(str(int(c, 36)) for c in text[4:length] + text[:4])) % 97 == 1


def _is_called(number: str) -> bool:
    """Zeros may also fill up a GTIN, so some numbering plan must know numbers of this length."""
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse("+" + _NO_DIGITS.sub("", number)))
    except phonenumbers.NumberParseException:
        return False


def _is_national(number: str) -> bool:
    digits = _NO_DIGITS.sub("", number)
    if digits == number:
        return len(digits) in {10, 11} or (len(digits) == 12 and digits[1] == "1" and digits[2] in "567")
    return not _DATE.match(number)


def _is_card(candidate: str) -> bool:
    digits = candidate.replace(" ", "").replace("-", "")
    return _ISSUED.fullmatch(digits) is not None and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0


def _is_position(one: str, other: str) -> bool:
    return min(abs(float(one)), abs(float(other))) <= 90 and max(abs(float(one)), abs(float(other))) <= 180


def _is_noise(word: str) -> bool:
    """Tell whether most of a long word was drawn at random: neither words, nor numbers, nor a UUID (which names)."""
    parts = _PARTS.findall(_UUID.sub("", word))
    size = sum(map(len, parts))
    if 2 * sum(len(part) for part in parts if _is_random(part[:_PART_MAX])) > size:
        return True
    # Base64 for addresses has separators within, which may leave parts that look well.
    mixed = not word.islower() and not word.isupper()
    return mixed and 5 * sum(len(_CHUNKS.findall(part)) for part in parts) > 2 * size


def _is_random(part: str) -> bool:
    """Tell letters and digits of a key from words in CamelCase with numbers: those change seldom and have vowels.

    Measured with 10,000 random keys each: of 20 hexadecimal digits and more none is missed; of 22 characters of base64
    6 are, of 43 characters 2; of 32 characters of base32, which looks like words in capitals, 2 %.
    """
    if len(part) < 6 or part.isdigit() or (part.isalpha() and (part.islower() or part.isupper() or part.istitle())):
        return False
    if _HEXADECIMAL.fullmatch(part) or _DIGITS_WITHIN.search(part):
        return True
    chunks = _CHUNKS.findall(part)
    return len(chunks) * 4 >= len(part) or not all(c.isdigit() or len(c) < 4 or _VOWEL.search(c) for c in chunks)
