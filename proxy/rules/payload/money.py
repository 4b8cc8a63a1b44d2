"""Amounts, currencies and counts of custom data: a value that can be read in one way only, or none.

Each check returns what may be sent, None for nothing, and the ends of its findings (see ``custom_data``). Source: Meta,
custom data parameters, whose samples show amounts as numbers and as text, and currencies in either case.
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

import pycountry

from proxy.rules import limits

Checked: TypeAlias = tuple[Any, tuple[str, ...]]

FINE: tuple[str, ...] = ()
REPAIRED = (":repaired",)
DOUBTFUL = (":doubtful",)
NOTHING: Checked = (None, FINE)
UNUSABLE: Checked = (None, (":unusable",))

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]{1,3})?", re.IGNORECASE)
# Currencies whose smallest unit is not a hundredth, as payment services count them (Stripe, "zero-decimal currencies"
# and "three-decimal currencies").
_NO_DIGITS = frozenset({
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
})  # fmt: skip
_THREE_DIGITS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
# Thousands have three digits, so one or two digits after a comma are a fraction.
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]{1,2}")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}([.,' \u2019\u00a0\u2009\u202f])[0-9]{3}(\1[0-9]{3})*(?:([.,])[0-9]+)?")
# No amount is longer, and the patterns above cost the square of a text's length.
_MOST_CHARACTERS = 40


def amount(claimed: Any) -> Checked:
    """Return a number for a number, and for text that can only be one.

    ``12,50`` and ``1.299,00`` are clear; ``1,299`` may be one of two numbers, so it is unusable. So is a number so
    large that readers of JSON do not agree on it.
    """
    kind = type(claimed)
    if kind is int or kind is float:
        number, words = claimed, FINE
    elif kind is str and (text := claimed.strip()):
        plain = _plain(text) if len(text) <= _MOST_CHARACTERS else None
        if plain is None:
            return UNUSABLE
        is_whole = "." not in plain and plain.lstrip("+-").isdecimal()
        number = int(plain) if is_whole else float(plain)
        words = FINE if plain == text else REPAIRED
    else:
        return NOTHING if claimed is None or kind is str else UNUSABLE
    if 0 <= number < limits.NUMBER:
        return number, words
    return (number, DOUBTFUL + words) if -limits.NUMBER < number < 0 else UNUSABLE


def _plain(text: str) -> str | None:
    """Write a number with a decimal point and nothing else between its digits."""
    if "," not in text:
        if _NUMBER.fullmatch(text):
            return text
    elif "." not in text and _DECIMAL_COMMA.fullmatch(text):
        return text.replace(",", ".")
    match = _GROUPED.fullmatch(text)
    if match is None:
        return None
    mark, further, point = match.groups()
    is_ambiguous = mark in ".," and not (further or point)
    return None if is_ambiguous or mark == point else text.replace(mark, "").replace(",", ".")


def count(claimed: Any) -> Checked:
    """Return a whole number, 0 or more."""
    number, words = amount(claimed)
    if number is None:
        return number, words
    if number < 0 or number % 1:
        return UNUSABLE
    return int(number), FINE if type(claimed) is int else REPAIRED


def currency(claimed: Any) -> Checked:
    """Return the code in capitals; three letters that ISO 4217 lacks are doubtful, as Meta's own list is not public."""
    if not claimed or type(claimed) is not str:
        return NOTHING if claimed is None or claimed == "" else UNUSABLE
    code = claimed.strip().upper()
    if code in currencies():
        return code, FINE
    return (code, DOUBTFUL) if len(code) == 3 and code.isascii() and code.isalpha() else UNUSABLE


def minor_units(count_of_units: int, code: str) -> float | int:
    """Return the usual number for an amount that a payment service counts in a currency's smallest units.

    Args:
        count_of_units: How many smallest units, such as cents.
        code: The currency, in capitals (ISO 4217).
    """
    if code in _NO_DIGITS:
        return count_of_units
    return float(Decimal(count_of_units).scaleb(-3 if code in _THREE_DIGITS else -2))


def prepare() -> None:
    """Read the codes of all currencies."""
    currencies()


@lru_cache(maxsize=1)
def currencies() -> frozenset[str]:
    """Return the codes of all currencies (ISO 4217), in capitals."""
    return frozenset(entry.alpha_3 for entry in pycountry.currencies)
