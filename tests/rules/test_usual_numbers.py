"""Numbers in their usual notation are judged by the numbering plans alone, with the same result as the library's."""

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from proxy.rules.match import phone_plans, usual_numbers

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
STYLES = (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.E164)
KINDS = range(phonenumbers.PhoneNumberType.VOICEMAIL + 1)


def examples() -> list[tuple[str, phonenumbers.PhoneNumber]]:
    """Return region and number for examples of each kind and region, and of the codes that belong to no region."""
    of_regions = [(region, phonenumbers.example_number_for_type(region, kind)) for region in REGIONS for kind in KINDS]
    of_none = [("DE", phonenumbers.example_number_for_non_geo_entity(code)) for code in CODES]
    return [(region, number) for region, number in (*of_regions, *of_none) if number]


CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
EXAMPLES = examples()
PIECES = st.sampled_from([*"0123456789 ()./-", "00", "011", "(0)", "15", "+", "#", "x", "ext. 3", "٣"])
DIGITS = st.text("0123456789", min_size=3, max_size=18)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str | None]:
    """Draw a number as somebody may write it, correctly or nearly so, and the region in which it is read."""
    region, number = draw(st.sampled_from(EXAMPLES))
    text = phonenumbers.format_number(number, draw(st.sampled_from(STYLES)))
    for place in draw(st.lists(st.integers(0, len(text)), max_size=3)):
        text = text[:place] + draw(PIECES) + text[place + draw(st.integers(0, 2)) :]
    return text, draw(st.sampled_from([region, region, None, *REGIONS]))


def agrees(text: str, region: str | None) -> bool:
    """Tell whether the plans give the library's result, or leave the number undecided."""
    found = usual_numbers.number(text, region)
    return found is None or (found or None) == phone_plans.parsed(text, region)


@pytest.mark.parametrize("region", REGIONS)
def test_numbers_of_each_region_are_judged_as_the_library_does(region: str) -> None:
    """The plans agree for each kind and style, with and without plus, read at home, without a region and abroad."""
    texts = [
        phonenumbers.format_number(number, style) for home, number in EXAMPLES if home == region for style in STYLES
    ]

    for text in (*texts, *(text.removeprefix("+") for text in texts)):
        assert all(agrees(text, where) for where in (region, None, "US", "DE", "IT", "AR")), text


@given(written())
@settings(max_examples=2000, deadline=None)
@example(("+390236618300", None))
@example(("0236618300", "IT"))
@example(("8 800 555-35-35", "RU"))
@example(("0 11 15-2345-6789", "AR"))
@example(("+1 (684) 622-1234", None))
def test_a_number_written_by_anybody_is_judged_as_the_library_does(number: tuple[str, str | None]) -> None:
    """The plans also agree if digits and marks are inserted, removed or replaced."""
    assert agrees(*number)


@given(st.sampled_from(CODES), DIGITS, st.sampled_from([None, *REGIONS]))
@settings(max_examples=1000, deadline=None)
def test_any_digits_are_judged_as_the_library_does(code: int, digits: str, region: str | None) -> None:
    """The plans agree for digits behind each country code, and for digits without one."""
    assert agrees(f"+{code}{digits}", None)
    assert agrees(digits, region)


def test_nearly_all_usual_numbers_are_decided() -> None:
    """More than 93 % of the examples in E.164, and 75 % in their national form, are decided without the library."""
    world = [usual_numbers.number(phonenumbers.format_number(number, STYLES[2]), None) for _, number in EXAMPLES]
    home = [usual_numbers.number(phonenumbers.format_number(number, STYLES[0]), where) for where, number in EXAMPLES]

    assert sum(found is not None for found in world) > 0.93 * len(EXAMPLES)
    assert sum(found is not None for found in home) > 0.75 * len(EXAMPLES)
