"""The world's numbering plans (libphonenumber), loaded and compiled once.

phonenumbers loads a plan when its first number is read, and compiles a plan's patterns at each use: it relies on the
cache of ``re``, which holds 512 patterns, and the plans have some 1,300. Numbers of many different countries would then
cost milliseconds each.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import phonenumbers
from phonenumbers import phonenumberutil
from phonenumbers.phonemetadata import PhoneMetadata

from proxy.rules.match import usual_numbers
from proxy.rules.match.usual_numbers import compiled

_LONGEST_CODE = 3  # ITU-T E.164
_PATTERNS = ("national_number_pattern", "national_prefix_for_parsing", "international_prefix", "leading_digits")

_OF_NO_COUNTRY = "NonMatch"  # what the package takes for the international prefix where it knows no country


class _Plan(NamedTuple):
    lengths: frozenset[int]
    """Lengths of numbers without the country code, including short ones that are only dialled within a town."""
    trunk: str
    """The trunk prefix: what is dialled before a number within the country."""


@lru_cache(maxsize=1)
def prepare() -> None:
    """Load and compile everything, so that no number costs more than another, and none opens a file."""
    PhoneMetadata.load_all()
    _plans()
    usual_numbers.prepare()
    patterns = {pattern: compiled(pattern) for pattern in (*_patterns(), _OF_NO_COUNTRY)}

    def known_or_compiled(pattern: str, flags: int = 0) -> re.Pattern[str]:
        return (not flags and patterns.get(pattern)) or re.compile(pattern, flags)

    vars(phonenumberutil)["re"] = SimpleNamespace(**vars(re) | {"compile": known_or_compiled})


def number(text: str, region: str | None) -> str | None:
    """Return country code and national number as digits, if a numbering plan knows such a number.

    Args:
        text: A number; with ``+`` it needs no region.
        region: ISO 3166-1 alpha-2 code in capitals, for national numbers.
    """
    usual = usual_numbers.number(text, region)
    return parsed(text, region) if usual is None else usual or None


def parsed(text: str, region: str | None) -> str | None:
    """Return the same for a number in any notation, as phonenumbers reads it; the arguments are those of ``number``."""
    try:
        found = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(found):
        return None
    return f"{found.country_code}{phonenumbers.national_significant_number(found)}"


def is_possible(digits: str) -> bool:
    """Tell whether digits are a country's code, followed by as many digits as numbers there have.

    The answer is that of ``phonenumbers.is_possible_number``, at a fiftieth of its cost, except that a trunk prefix
    between code and number is always accepted.
    """
    codes = (digits[:size] for size in range(1, _LONGEST_CODE + 1))
    code = next((prefix for prefix in codes if prefix in _plans()), None)
    if code is None:
        return False
    plan, rest = _plans()[code], digits[len(code) :]
    return len(rest) in plan.lengths or (
        plan.trunk != "" and rest.startswith(plan.trunk) and len(rest) - len(plan.trunk) in plan.lengths
    )


@lru_cache(maxsize=1)
def _plans() -> Mapping[str, _Plan]:
    return {
        str(code): _plan(PhoneMetadata.metadata_for_region_or_calling_code(code, regions[0]))
        for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    }


def _plan(metadata: Any) -> _Plan:
    general = metadata.general_desc
    return _Plan(
        frozenset((*general.possible_length, *general.possible_length_local_only)), metadata.national_prefix or ""
    )


def _patterns() -> Iterator[str]:
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions:
            plan = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            for holder in (plan, *vars(plan).values()):
                yield from (found for name in _PATTERNS if (found := getattr(holder, name, None)))
