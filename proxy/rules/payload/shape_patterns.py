"""Patterns of secrets: coarse ones, which every text of a shape matches, and exact ones.

Most texts match nothing. Whether a text does is found out with pydantic's regular expressions (Rust's regex, an
automaton like RE2): they cost half of what RE2's binding costs, but do not tell which pattern matched.
"""

import re
from collections.abc import Callable, Collection
from enum import IntEnum, StrEnum

import re2
from pydantic_core import SchemaValidator, core_schema

from proxy.rules.payload.shape_proofs import (
    COUNTRIES,
    is_account,
    is_card,
    is_international_number,
    is_national_number,
    is_position,
)


class Shape(StrEnum):
    """The kind of secret that was found; also its label in metrics."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    JWT = "jwt"
    COORDINATES = "coordinates"
    TOKEN = "token"  # noqa: S105 - a word
    UNREAD = "unread"


# Four characters of base64 that stand for three printable ASCII characters.
_BASE64_OF_ASCII = r"[I-Za-f][C-HS-Xi-ny-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
_GAP = "[ ()./_-]{0,3}"
# A random text has capitals, letters beside digits, or nothing but digits: most names of pages and products, which are
# lower-case words and numbers with separators, are no candidates. Of 20 characters nine stand on one side of such a
# pair.
_IN_KEYS = "[A-Za-z0-9+/_-]"
_RANDOM = "(?:[A-Z]|[a-z][0-9]|[0-9][a-z])"


class Suspect(IntEnum):
    """What a text may hold by the coarse patterns below, in their order."""

    ENCODED = 0
    MAIL = 1
    JWT = 2
    ACCOUNT = 3
    WITH_PLUS = 4
    WITH_ZEROS = 5
    NATIONAL = 6
    NORTH_AMERICAN = 7
    CARD = 8
    COORDINATES = 9
    BASE64 = 10
    LONG_WORD = 11


# What every text of a shape has at least; RE2 looks for all of it in one pass, at a cost that is the length's alone.
_FRONT = "(?:^|[^0-9A-Za-z])"
_COARSE = {
    Suspect.ENCODED: "%",
    Suspect.MAIL: "@",
    Suspect.JWT: r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2}",
    Suspect.ACCOUNT: rf"{_FRONT}(?i:{'|'.join(COUNTRIES)})[0-9]{{2}}(?:[ -]?[A-Za-z0-9]){{11}}",
    Suspect.WITH_PLUS: rf"{_FRONT}\+[ (]{{0,2}}[1-9](?:{_GAP}[0-9]){{7}}",
    Suspect.WITH_ZEROS: rf"{_FRONT}00[1-9](?:{_GAP}[0-9]){{7}}",
    Suspect.NATIONAL: rf"{_FRONT}0[1-9](?:{_GAP}[0-9]){{7}}",
    Suspect.NORTH_AMERICAN: rf"{_FRONT}[2-9][0-9]{{2}}(?:\) ?|[ .-])[2-9][0-9]{{2}}[ .-][0-9]{{4}}",
    Suspect.CARD: r"(?:^|[^0-9])[2-6][0-9]{3}(?:[ -]?[0-9]){10}",
    Suspect.COORDINATES: r"(?:^|[^0-9.])[0-9]{1,3}\.[0-9]{3,17}[^0-9A-Za-z.-]{1,3}-?[0-9]{1,3}\.[0-9]{3}",
    Suspect.BASE64: rf"(?:^|[^A-Za-z0-9+/_-]){_BASE64_OF_ASCII}[A-Za-z0-9+/_-]{{4}}",
    Suspect.LONG_WORD: f"{_IN_KEYS}{{9}}{_RANDOM}|{_RANDOM}{_IN_KEYS}{{9}}|[0-9+/_-]{{20}}",
}


def _coarse(patterns: Collection[str]) -> re2.Set:
    found = re2.Set.SearchSet()
    for pattern in patterns:
        found.Add(pattern)
    found.Compile()
    return found


def _finder(patterns: Collection[str]) -> Callable[[str], bool]:
    """Return a function that tells whether a text, which must have no half characters, matches any of the patterns."""
    return SchemaValidator(core_schema.str_schema(pattern="|".join(patterns), strict=True)).isinstance_python


SUSPECTS = _coarse([_COARSE[suspect] for suspect in Suspect])
has_suspects = _finder(_COARSE.values())
needs_a_look = _finder([*_COARSE.values(), r"\\", '(?i:"http)'])
"""Tells whether custom data, written as JSON, need more than a look at names: they hold a suspect, an escape or an
address."""

# One character before the at sign is proof enough; looking for more of them would cost time squared. Pictures for
# dense screens are named logo@2x.png.
_MAIL = re.compile(r"[^\s@/]@(?![1-9]x\.(?:png|jpe?g|webp|avif|gif|svg))[^\s@/]+\.[^\W\d_]{2}")
_WITH_PLUS = re.compile(rf"(?<![0-9A-Za-z])\+[ (]{{0,2}}[1-9](?:{_GAP}[0-9]){{7,13}}(?![0-9])")
_WITH_ZEROS = re.compile(rf"(?<![0-9A-Za-z])00([1-9](?:{_GAP}[0-9]){{7,13}})(?![0-9])")
_NATIONAL = re.compile(rf"(?<![0-9A-Za-z])(?<![0-9][.,-])\(?(0[1-9](?:{_GAP}[0-9]){{7,10}})(?![0-9])")
_NORTH_AMERICAN = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9][.,-])(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])"
    r"[2-9][0-9]{2}[ .-][0-9]{4}(?![0-9])"
)
_CARD = re.compile(
    r"(?<![0-9])(?<![0-9][.,])"
    r"(?:[2-6][0-9]{13,18}|[2-6][0-9]{3}(?:[ -][0-9]{4}){3}|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})(?![0-9])"
)
_ACCOUNT = re.compile(
    rf"(?<![A-Za-z0-9])(?=((?i:{'|'.join(COUNTRIES)})[0-9]{{2}}(?:[ -]?[A-Za-z0-9]){{11,30}}))", re.ASCII
)
_JWT = re.compile("eyJ")  # whatever the coarse pattern finds is a JWT
# Three decimals of a degree are a hundred metres.
_COORDINATES = re.compile(
    r"(?<![0-9.])(-?[0-9]{1,3}\.[0-9]{3,17})[^0-9A-Za-z.-]{1,3}(-?[0-9]{1,3}\.[0-9]{3,17})(?!\.?[0-9])"
)
BASE64 = re.compile(rf"(?<![A-Za-z0-9+/_-]){_BASE64_OF_ASCII}[A-Za-z0-9+/_-]{{4,}}")

CERTAIN = (Suspect.MAIL, Suspect.JWT, Suspect.ACCOUNT, Suspect.WITH_PLUS)
ALL = (
    *CERTAIN,
    *(Suspect.CARD, Suspect.COORDINATES, Suspect.WITH_ZEROS, Suspect.NATIONAL, Suspect.NORTH_AMERICAN),
)
_OF_IDS = [_COARSE[suspect] for suspect in (*CERTAIN, Suspect.ENCODED, Suspect.BASE64)]
has_suspects_of_ids = _finder(_OF_IDS)
Proof = Callable[[re.Match[str]], bool]
# Suspect → the shape that it may be, the exact pattern, and the check that proves a match of the pattern.
EXACT: dict[Suspect, tuple[Shape, re.Pattern[str], Proof]] = {
    Suspect.MAIL: (Shape.EMAIL, _MAIL, lambda _: True),
    Suspect.JWT: (Shape.JWT, _JWT, lambda _: True),
    Suspect.ACCOUNT: (Shape.IBAN, _ACCOUNT, lambda match: is_account(match[1])),
    Suspect.WITH_PLUS: (Shape.PHONE, _WITH_PLUS, lambda _: True),
    Suspect.CARD: (Shape.CARD, _CARD, lambda match: is_card(match[0])),
    Suspect.COORDINATES: (Shape.COORDINATES, _COORDINATES, lambda match: is_position(*match.groups())),
    Suspect.WITH_ZEROS: (Shape.PHONE, _WITH_ZEROS, lambda match: is_international_number(match[1])),
    Suspect.NATIONAL: (Shape.PHONE, _NATIONAL, lambda match: is_national_number(match[1])),
    Suspect.NORTH_AMERICAN: (Shape.PHONE, _NORTH_AMERICAN, lambda _: True),
}
