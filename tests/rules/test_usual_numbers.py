"""Numbers in their usual notation are judged by the plans alone, as the library judges them."""

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
    """Return a number of each kind and region, and of each code that is no region's."""
    of_regions = [(region, phonenumbers.example_number_for_type(region, kind)) for region in REGIONS for kind in KINDS]
    of_none = [("DE", phonenumbers.example_number_for_non_geo_entity(code)) for code in CODES]
    return [(region, number) for region, number in (*of_regions, *of_none) if number]


CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
EXAMPLES = examples()
PIECES = st.sampled_from([*"0123456789 ()./-", "00", "011", "(0)", "15", "+", "#", "x", "ext. 3", "٣"])
DIGITS = st.text("0123456789", min_size=3, max_size=18)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str | None]:
    """Return a number as somebody may write it, right or nearly, and the region where it is read."""
    region, number = draw(st.sampled_from(EXAMPLES))
    text = phonenumbers.format_number(number, draw(st.sampled_from(STYLES)))
    for place in draw(st.lists(st.integers(0, len(text)), max_size=3)):
        text = text[:place] + draw(PIECES) + text[place + draw(st.integers(0, 2)) :]
    return text, draw(st.sampled_from([region, region, None, *REGIONS]))


def agrees(text: str, region: str | None) -> bool:
    """Tell whether what the plans say of a number, if anything, is what the library says."""
    found = usual_numbers.number(text, region)
    return found is None or (found or None) == phone_plans.parsed(text, region)


@pytest.mark.parametrize("region", REGIONS)
def test_numbers_of_each_region_are_judged_as_the_library_does(region: str) -> None:
    """Each kind of number, in each style, with and without its plus, read at home, nowhere and in other countries."""
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
    """Digits and marks put in, left out or exchanged change nothing in the agreement."""
    assert agrees(*number)


@given(st.sampled_from(CODES), DIGITS, st.sampled_from([None, *REGIONS]))
@settings(max_examples=1000, deadline=None)
def test_any_digits_are_judged_as_the_library_does(code: int, digits: str, region: str | None) -> None:
    """Of all codes, with and without one."""
    assert agrees(f"+{code}{digits}", None)
    assert agrees(digits, region)


def test_nearly_all_usual_numbers_are_decided() -> None:
    """The library need not be asked for an example number in E.164, or as it is written within its country."""
    world = [usual_numbers.number(phonenumbers.format_number(number, STYLES[2]), None) for _, number in EXAMPLES]
    home = [usual_numbers.number(phonenumbers.format_number(number, STYLES[0]), where) for where, number in EXAMPLES]

    assert sum(found is not None for found in world) > 0.93 * len(EXAMPLES)
    assert sum(found is not None for found in home) > 0.75 * len(EXAMPLES)
