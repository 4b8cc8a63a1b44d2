"""Normal forms of where a person lives: city, state, postal code, country.

The forms are those of Meta's customer information parameters; names of countries and states come from the ISO
tables of pycountry. Each function takes trimmed text and returns the text to hash, or None where it has no
certain form. ``country`` is an ISO 3166-1 alpha-2 code in lower case, or "" where it is not known.
"""

import gettext
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache

import pycountry

from proxy.rules.match.text import bare

# What people write and ISO 3166 does not list.
_COUNTRY_ALIASES = {
    "uk": "gb",
    "greatbritain": "gb",
    "britain": "gb",
    "england": "gb",
    "scotland": "gb",
    "wales": "gb",
    "northernireland": "gb",
    "usofa": "us",
    "america": "us",
    "russia": "ru",
    "turkey": "tr",
    "holland": "nl",
    "ivorycoast": "ci",
    "capeverde": "cv",
    "macedonia": "mk",
    "swaziland": "sz",
    "burma": "mm",
    "uae": "ae",
    "brunei": "bn",
    "el": "gr",
    "россия": "ru",
    "ceskarepublika": "cz",
    "grossbritannien": "gb",
    "palestine": "ps",
    "thenetherlands": "nl",
}
_LANGUAGES = (
    "de fr es it nl pt pt_BR pl sv da nb_NO nn fi cs sk sl hr hu ro tr id vi "  # in Latin letters
    "bg el uk ru ja ko zh_CN zh_TW ar he hi th"
)
_STATE_ALIASES = {
    "us": {"washingtondc": "dc", "usvirginislands": "vi", "aa": "aa", "ae": "ae", "ap": "ap"},
    "ca": {"newfoundland": "nl", "labrador": "nl", "pei": "pe"},
}
# Latin letters that carry no separable accent.
_PLAIN_LATIN = str.maketrans(
    {"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"}
)
_ZIP = re.compile(r"(\d{5})(?:\d{4})?", re.ASCII)
_ZIP_PLUS_4 = re.compile(r"(\d{5})-\d{4}", re.ASCII)


def plain_latin(text: str) -> str:
    """Return the text without its accents: ``zürich`` becomes ``zurich``; other scripts lose theirs too."""
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFKD", text.translate(_PLAIN_LATIN))
    return "".join(c for c in letters if unicodedata.category(c) != "Mn")


def city(text: str) -> str | None:
    """Return the city without punctuation and blanks, accents kept."""
    return bare(text) or None


def city_forms(city: str) -> tuple[str, ...]:
    """Return a normal city name and, where it differs, the ASCII spelling of it.

    Meta's page asks for UTF-8, its own parameter builder drops accented letters; a list may hold both spellings.
    """
    plain = plain_latin(city)
    return (city, plain) if plain != city and plain.isascii() and plain else (city,)


def country(text: str) -> str | None:
    """Return the alpha-2 code for a code, a number or a name, the name in English or a widespread language."""
    name = bare(text)
    word = plain_latin(name)
    # No code has an accent: Vietnamese "Mỹ" is the United States, not "my".
    english = _english_countries().get(word) if name.isascii() or len(word) > 3 else None
    return english or (_foreign_countries().get(word) if word else None)


def prepare() -> None:
    """Read the names of all countries and states, in all languages: a third of a second, and some 400 files."""
    hashed_countries()
    _english_countries()
    _foreign_countries()
    for federation in _STATE_ALIASES:
        _states(federation)


@lru_cache(maxsize=1)
def hashed_countries() -> Mapping[str, str]:
    """Return the country codes by their SHA-256, so that a hashed country still tells how to read the other values."""
    codes = (entry.alpha_2.lower() for entry in pycountry.countries)
    return {hashlib.sha256(code.encode()).hexdigest(): code for code in codes}


def state(text: str, country: str) -> str | None:
    """Return the postal code of a US or Canadian state, elsewhere the bare name.

    Without a country, names of US and Canadian states are mapped too, as the browser Pixel does. In the US only
    known states have a form; for Canada Meta documents none, so unknown ones stay as they are.
    """
    name = bare(text)
    word = plain_latin(name)
    for federation in ("us", "ca"):
        if country in (federation, "") and (code := _states(federation).get(word)):
            return code
    return None if country == "us" or not name else name


def postal_code(text: str, country: str) -> str | None:
    """Return the code in lower case without blanks and dashes; of a US one the first five digits only.

    Without a country, five digits, dash and four digits are taken for a US code.
    """
    text = unicodedata.normalize("NFKC", text)
    code = bare(text)
    if country == "us" or (not country and _ZIP_PLUS_4.fullmatch(text)):
        match = _ZIP.fullmatch(code)
        return match[1] if match else None
    return code if len(code) > 1 else None


@lru_cache(maxsize=1)
def _english_countries() -> Mapping[str, str]:
    names: dict[str, str] = {}
    for entry in pycountry.countries:
        for name in _names(entry):
            names[plain_latin(bare(name))] = entry.alpha_2.lower()
    return _COUNTRY_ALIASES | names


def _names(entry: "pycountry.db.Country") -> Iterator[str]:
    fields = ("alpha_2", "alpha_3", "numeric", "name", "official_name", "common_name")
    return (value for field in fields if (value := getattr(entry, field, None)))


@lru_cache(maxsize=1)
def _foreign_countries() -> Mapping[str, str]:
    """Return country codes by names in the larger languages; a word that means two countries is left out."""
    meanings: dict[str, set[str]] = {}
    for name, codes in _translated_countries().items():
        # ``plain_latin`` is what takes time here; many names are the same in several languages, and come only once.
        meanings.setdefault(plain_latin(bare(name)), set()).update(codes)
    return {word: codes.pop() for word, codes in meanings.items() if len(codes) == 1}


def _translated_countries() -> Mapping[str, set[str]]:
    """Return the codes of the countries that have a name in one of the larger languages."""
    english = [(name, entry.alpha_2.lower()) for entry in pycountry.countries for name in _common_names(entry)]
    codes: dict[str, set[str]] = {}
    for language in _LANGUAGES.split():
        names = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[language], fallback=True)
        for name, code in english:
            codes.setdefault(names.gettext(name), set()).add(code)
    return codes


def _common_names(entry: "pycountry.db.Country") -> set[str]:
    return {entry.name, getattr(entry, "common_name", entry.name)}


@lru_cache(maxsize=2)
def _states(country: str) -> Mapping[str, str]:
    prefix = country.upper() + "-"
    names: dict[str, str] = {}
    for entry in pycountry.subdivisions:
        if entry.code.startswith(prefix):
            code = entry.code.removeprefix(prefix).lower()
            names |= {plain_latin(bare(name)): code for name in (entry.name, entry.code, code)}
    return _STATE_ALIASES[country] | names
