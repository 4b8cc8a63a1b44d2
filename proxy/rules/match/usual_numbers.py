"""Telephone numbers in their usual notation, judged by the numbering plans alone.

phonenumbers reads any notation: extensions, letters, several numbers in one text, all of which costs ten times what its
plans cost. Whatever is not digits with blanks and marks between them is left to phonenumbers, and so are numbers that
it may read in more than one way. All other numbers get the same result as from phonenumbers; a test compares the two.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE
from phonenumbers.phonemetadata import PhoneMetadata

_USUAL = re.compile(r"\+?\(?[0-9](?:[ ()./-]{0,3}[0-9]){4,19}")
_MARKS = b"+ ()./-"
_LONGEST_CODE = 3  # ITU-T E.164
_NOTHING = "(?!)"
# The kinds of numbers that phonenumbers knows, the most common first.
_KINDS = (
    *("mobile", "fixed_line", "toll_free", "shared_cost", "premium_rate"),
    *("voip", "personal_number", "pager", "uan", "voicemail"),
)


class _NumberForm(NamedTuple):
    """How numbers of a kind look."""

    lengths: frozenset[int]
    pattern: re.Pattern[str]

    def fits(self, national: str) -> bool:
        return len(national) in self.lengths and self.pattern.fullmatch(national) is not None


class _RegionPlan(NamedTuple):
    """How a region numbers its telephones."""

    code: str
    """The country code, such as ``49``."""
    abroad: re.Pattern[str]
    """What is dialled before a number of another country."""
    trunk: re.Pattern[str]
    """What may be dialled before a number within the country."""
    general: _NumberForm
    kinds: tuple[_NumberForm, ...]
    leading: re.Pattern[str] | None
    """How this region's numbers begin, if several regions share its country code; None if nothing tells them apart."""

    def has(self, national: str) -> bool:
        return self.general.fits(national) and any(kind.fits(national) for kind in self.kinds)


def number(text: str, region: str | None) -> str | None:
    """Return country code and national number as digits, "" for no number, or None for what is left to phonenumbers.

    Args:
        text: A number; with ``+`` it needs no region.
        region: ISO 3166-1 alpha-2 code in capitals, for national numbers.
    """
    if not _USUAL.fullmatch(text):
        return None
    digits = text.encode().translate(None, _MARKS).decode()  # a quarter of the time that text takes
    if text[0] == "+":
        return _international_number(digits)
    home = _plans().get(region or "")
    if home is None or digits.startswith(home.code) or home.abroad.match(digits):
        return None
    return _national_number(home, digits)


def _international_number(digits: str) -> str | None:
    for size in range(1, _LONGEST_CODE + 1):
        if plans := _plans_of_codes().get(digits[:size]):
            return _national_number(plans[0], digits[size:])
    return None


def _national_number(plan: _RegionPlan, dialled: str) -> str | None:
    national = dialled
    if trunk := plan.trunk.match(dialled):
        national = dialled[trunk.end() :]
        if trunk.lastindex or not plan.general.fits(national):
            return None
    return plan.code + national if _is_given_out(plan.code, national) else ""


def _is_given_out(code: str, national: str) -> bool:
    """Tell whether the first region to which a number of the code may belong gives out such numbers."""
    plans = _plans_of_codes()[code]
    if len(plans) == 1:
        return plans[0].has(national)
    for plan in plans:
        if plan.leading is None:
            if plan.has(national):
                return True
        elif plan.leading.match(national):
            return plan.has(national)
    return False


def prepare() -> None:
    """Read all plans and compile their patterns."""
    _plans()


@lru_cache(maxsize=2048)
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern of a plan, compiled once; the plans have some 1,300."""
    return re.compile(pattern)


@lru_cache(maxsize=1)
def _plans_of_codes() -> Mapping[str, Sequence[_RegionPlan]]:
    """Return the plans of the regions of each code, the main one first."""
    return {
        str(code): [_plan(PhoneMetadata.metadata_for_region_or_calling_code(code, region), code) for region in regions]
        for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
    }


@lru_cache(maxsize=1)
def _plans() -> Mapping[str, _RegionPlan]:
    """Return the plan of each region."""
    return {
        region: plan
        for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
        for region, plan in zip(regions, _plans_of_codes()[str(code)], strict=True)
        if region != "001"
    }


def _plan(metadata: Any, code: int) -> _RegionPlan:
    general = metadata.general_desc
    lengths = frozenset(general.possible_length)
    found = (getattr(metadata, kind) for kind in _KINDS)
    return _RegionPlan(
        code=str(code),
        abroad=compiled(metadata.international_prefix or _NOTHING),
        trunk=compiled(metadata.national_prefix_for_parsing or _NOTHING),
        general=_NumberForm(lengths, compiled(general.national_number_pattern)),
        kinds=tuple(
            _NumberForm(frozenset(kind.possible_length) or lengths, compiled(kind.national_number_pattern))
            for kind in found
            if kind is not None and kind.national_number_pattern
        ),
        leading=compiled(metadata.leading_digits) if metadata.leading_digits else None,
    )
