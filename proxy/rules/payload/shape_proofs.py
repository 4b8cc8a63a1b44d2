"""What proves that digits are more than digits: check digits, numbering plans, the bounds of the earth."""

import re

from stdnum import iban, numdb

from proxy.rules.match import phone_plans

_NO_DIGITS = re.compile(r"[^0-9]+")
_DATE = re.compile(r"[0-9]{2}([./-])[0-9]{2}\1(?:19|20)[0-9]{2}")
# Issuer prefix → lengths (ISO/IEC 7812 ranges as the card schemes publish them).
_ISSUED = re.compile(
    r"""4[0-9]{15}(?:[0-9]{3})? | 5[1-5][0-9]{14} | 2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}
      | 3[47][0-9]{13} | 3(?:0[0-5]|[68][0-9])[0-9]{11} | 35(?:2[89]|[3-8][0-9])[0-9]{12,15}
      | (?:5[06-9]|6[0-9])[0-9]{14,17}""",
    re.VERBOSE,
)
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _account_lengths() -> dict[str, int]:
    """Return country → characters of its account numbers, from the package's copy of SWIFT's registry."""
    registry = numdb.get("iban")
    structures = {
        first + second: registry.info(first + second)[0][1].get("bban", "")
        for first in _ALPHABET
        for second in _ALPHABET
    }
    return {
        country: 4 + sum(map(int, re.findall(r"([0-9]+)!", structure)))
        for country, structure in structures.items()
        if structure
    }


_ACCOUNT_LENGTHS = _account_lengths()
COUNTRIES = tuple(_ACCOUNT_LENGTHS)
"""The countries that have IBANs; ISO 3166-1 alpha-2, and XK."""


def is_account(candidate: str) -> bool:
    """Tell whether a text begins with an IBAN: length and parts of its country, and check digits (ISO 13616)."""
    text = candidate.replace(" ", "").replace("-", "").upper()
    length = _ACCOUNT_LENGTHS.get(text[:2], 0)
    # Countries' own check digits are not checked: they are wrong in test accounts, which are IBANs all the same.
    return 0 < length <= len(text) and iban.is_valid(text[:length], check_country=False)


def is_international_number(number: str) -> bool:
    """Tell whether digits behind ``00`` are a telephone number: a GTIN may begin with zeros too."""
    return phone_plans.is_possible(_NO_DIGITS.sub("", number))


def is_national_number(number: str) -> bool:
    """Tell a national telephone number with leading zero from a date and from other numbers."""
    digits = _NO_DIGITS.sub("", number)
    if digits == number:
        return len(digits) in {10, 11} or (len(digits) == 12 and digits[1] == "1" and digits[2] in "567")
    return not _DATE.match(number)


def is_card(candidate: str) -> bool:
    """Tell whether digits are a card's: of an issuer, and right by Luhn's check digit."""
    digits = candidate.replace(" ", "").replace("-", "")
    return _ISSUED.fullmatch(digits) is not None and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0


def is_position(first: str, second: str) -> bool:
    """Tell whether two numbers are a place on earth, in either order."""
    smaller, larger = sorted((abs(float(first)), abs(float(second))))
    return smaller <= 90 and larger <= 180
