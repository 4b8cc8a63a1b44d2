"""Normal forms of what a person is, and their hashes: mail address, phone number, name, birth date, gender, id.

The forms are those of Meta's customer information parameters. Each function takes trimmed text and returns the
text to hash, or None where the text does not say with certainty what is meant: a hash of a guess matches nobody.
Nothing here is cached, so that no contact data outlives its request.
"""

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256

import phonenumbers
from dateutil import parser

from proxy.rules.effort import Effort
from proxy.rules.match import location, phone_plans, usual_numbers
from proxy.rules.match.text import NOTHINGS, SHORTEST_DIGEST, bare, mark_in, read_value

# Units of effort for a value, and for each of its characters (the most measured); some keys need costly libraries.
_USUAL_COSTS, _COSTS = (40, 2), {"ph": (600, 30), "db": (400, 20)}
_OTHER_LETTER = 40
_IDS = frozenset({"external_id", "app_user_id"})
_OF_BIRTH = frozenset({"db", "doby"})
# Names and places have fewer characters; others may have as many as any value.
LONGEST, _LONG = 100, _IDS | {"em"}
# Keys whose values may be JSON numbers: here only the quotes are missing, but a name given as a number is a mistake.
_NUMERIC = _IDS | {"ph", "zp", "db", "doby", "dobm", "dobd"}
# Characters that only quoting or a list of several addresses would explain are not part of one plain address.
_MAIL = re.compile(r"[^\s\x00-\x1f\x7f@<>()\[\]:;,\\\"]+@(?:[^\s\x00-\x1f\x7f@<>()\[\]:;,\\\".]+\.)+[^\W\d_][\w-]+")
_CALLED_FROM_ABROAD = re.compile(r"^\+?0{2,}")
_LETTERS = re.compile(r"[^\W\d_]")
_NO_DIGITS = re.compile(r"\D+")
_YEAR_FIRST = re.compile(
    r"(\d{4})(\d{2})(\d{2})|(\d{4})\D{1,3}(\d{1,2})\D{1,3}(\d{1,2})(?:\D.*)?", re.ASCII | re.DOTALL
)
# Each completes a date differently if the text leaves a part of it open, so that this is noticed.
_FILLERS = (dt.datetime(2000, 1, 1), dt.datetime(2001, 2, 2))  # noqa: DTZ001 - only the date is used
# The most characters of a phone number in any notation; the fewest and most digits, with those of an extension.
_LONGEST_PHONE = 64
_FEWEST_DIGITS, _MOST_DIGITS = 3, 30
# dateutil's time grows faster than the text.
_LONGEST_DATE = 40
_GENDERS = {
    word: gender
    for gender, words in {
        "f": "f female woman girl weiblich frau femme féminin femenino mujer femminile donna feminino mulher vrouw",
        "m": "m male man boy männlich mann homme masculin masculino hombre maschile uomo homem",
    }.items()
    for word in words.split()
}


def mail(text: str) -> str | None:
    """Return the address in lower case; any domain is as good as any other."""
    lower = text.lower()
    return lower if _MAIL.fullmatch(lower) else None


def phone(text: str, country: str) -> str | None:
    """Return country code and number as digits only, if a numbering plan knows such a number.

    Args:
        text: A number in any notation. Without ``+`` or ``00`` it is read, in this order, as one of ``country``
            that already has its country code, as a national one of ``country``, as one with any country code.
        country: ISO 3166-1 alpha-2 code in lower case, or "" where it is not known.
    """
    if len(text) > _LONGEST_PHONE:
        return None
    usual = usual_numbers.number(text, None) if text.startswith("+") else None
    if usual is not None:
        return usual or None
    text = _CALLED_FROM_ABROAD.sub("+", text if text.isascii() else unicodedata.normalize("NFKC", text))
    digits = _NO_DIGITS.sub("", text)
    if not _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS:
        return None
    # Letters as digits (1-800-…) are a company's number; Meta's rule, letters dropped, would leave a stump.
    if _LETTERS.search(text) and phonenumbers.is_alpha_number(text):
        return None
    _, plus, rest = text.partition("+")
    if plus or not country:
        return phone_plans.number("+" + (rest or text), None)
    region = country.upper()
    code = str(phonenumbers.country_code_for_region(region))
    coded = phone_plans.number("+" + text, None) if digits.startswith(code) else None
    return coded or phone_plans.number(text, region) or phone_plans.number("+" + text, None)


def name(text: str) -> str | None:
    """Return the name without punctuation, accents kept.

    Meta does not say what becomes of inner blanks; they go, because the browser Pixel removes them.
    """
    # Most names need no more than ``bare`` does to letters and digits.
    return text.lower() if text.isascii() and text.isalnum() else bare(text) or None


def first_letters(text: str, count: int) -> str | None:
    """Return the beginning of a name, as Meta's SDKs send it under ``fi`` and ``f5first``."""
    return bare(text)[:count] or None


def birth_date(text: str) -> str | None:
    """Return YYYYMMDD, year 1900 or later; None where day and month could be exchanged or the year is short."""
    if len(text) > _LONGEST_DATE:
        return None
    text = unicodedata.normalize("NFKC", text)
    if match := _YEAR_FIRST.fullmatch(text):
        return _date(*(int(part) for part in match.groups() if part))
    return None if text.isdigit() else _date_in_words(text)


def _date(year: int, month: int, day: int) -> str | None:
    try:
        date = dt.date(year, month, day)
    except ValueError:
        return None
    return f"{date:%Y%m%d}" if year >= 1900 else None


def _date_in_words(text: str) -> str | None:
    try:
        readings = {
            parser.parse(text, dayfirst=dayfirst, default=filler, ignoretz=True).date()
            for dayfirst, filler in zip((False, True), _FILLERS, strict=True)
        }
    except (ValueError, OverflowError):
        return None
    date = readings.pop()
    # A year of two digits would be completed by the clock.
    return _date(date.year, date.month, date.day) if not readings and str(date.year) in text else None


def part_of_date(text: str, low: int, high: int) -> str | None:
    """Return a day, month or year with as many digits as the upper bound has; None if it is out of bounds.

    Args:
        text: The number.
        low: The least it may be.
        high: The most it may be.
    """
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else -1
    return f"{number:0{len(str(high))}}" if low <= number <= high else None


def gender(text: str) -> str | None:
    """Return ``f`` or ``m``, the only two forms Meta documents, for the words of a few languages."""
    return _GENDERS.get(bare(text))


def identifier(text: str) -> str | None:
    """Return an advertiser's own id in lower case and without blanks.

    Meta asks only for the same form in every channel; this is the form the browser Pixel gives it. An id of zeros is
    what shops give to everybody who is not logged in.
    """
    return "".join(text.lower().split()) if text.strip("0-") else None


_FORMS: Mapping[str, Callable[[str], str | None]] = {
    "em": mail,
    "fn": name,
    "ln": name,
    "db": birth_date,
    "ge": gender,
    "ct": location.city,
    "country": location.country,
    "external_id": identifier,
    "f5first": partial(first_letters, count=5),
    "f5last": partial(first_letters, count=5),
    "fi": partial(first_letters, count=1),
    "doby": partial(part_of_date, low=1900, high=9999),
    "dobm": partial(part_of_date, low=1, high=12),
    "dobd": partial(part_of_date, low=1, high=31),
    "app_user_id": identifier,
}
_FORMS_OF_COUNTRIES: Mapping[str, Callable[[str, str], str | None]] = {
    "ph": phone,
    "st": location.state,
    "zp": location.postal_code,
}


def hashed(
    values: Mapping[str, Sequence[object]], country: str, year: int, effort: Effort
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the hashes of raw values, and the keys that had a value of no use.

    Args:
        values: By Meta's names of hashed keys.
        country: As with ``phone``.
        year: The current one, after which nobody was born.
        effort: What is left of the request's budget.
    """
    hashes: dict[str, list[str]] = {}
    rejected: dict[str, None] = {}
    for key, claimed in values.items():
        for value in claimed:
            text = _read(key, value)
            found = _hashes(key, text, country, year, effort) if isinstance(text, str) else text
            if found is None:
                rejected[key] = None
            elif key in hashes:
                hashes[key] += [digest for digest in found if digest not in hashes[key]]
            elif found:
                hashes[key] = list(found)
    return hashes, list(rejected)


def _read(key: str, value: object) -> str | tuple[str, ...] | None:
    """Do what ``read_value`` does, with a shortcut for short text that is not a word for nothing, as nearly all is."""
    text = value.strip() if isinstance(value, str) and value.isascii() else ""
    if 0 < len(text) < SHORTEST_DIGEST and text.lower() not in NOTHINGS and not mark_in(text):
        return text
    return read_value(value, numeric=key in _NUMERIC, is_id=key in _IDS)


def _hashes(key: str, text: str, country: str, year: int, effort: Effort) -> tuple[str, ...] | None:
    """Return the hashes of a raw value, None without a normal form or with no effort left; cached in ``effort``."""
    value = (key, text, country)
    if value in effort.digests:
        return effort.digests[value]
    fixed, each = _COSTS.get(key, _USUAL_COSTS)
    effort.left -= fixed + (each if text.isascii() else each + _OTHER_LETTER) * len(text)
    normal = form(key, text, country, year) if effort.left >= 0 else None
    if normal is None:
        hashes = None
    elif key == "ct" and not normal.isascii():
        hashes = tuple([sha256(spelling.encode()).hexdigest() for spelling in location.city_forms(normal)])
    else:
        hashes = (sha256(normal.encode()).hexdigest(),)
    effort.digests[value] = hashes
    return hashes


def form(key: str, text: str, country: str, year: int) -> str | None:
    """Return the normal form of trimmed text; None if it has none, is too long, or is a birth date in the future.

    Args:
        key: Meta's name of a hashed key.
        text: Its value, not a hash.
        country: As with ``phone``.
        year: The current one.
    """
    if len(text) > LONGEST and key not in _LONG:
        return None
    normal = usual(text) if (usual := _FORMS.get(key)) else _FORMS_OF_COUNTRIES[key](text, country)
    return None if key in _OF_BIRTH and normal is not None and int(normal[:4]) > year else normal
