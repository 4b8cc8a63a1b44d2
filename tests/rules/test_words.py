"""Graph's words for people: short, printable, without the token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model import Words
from proxy.rules.words import printable, told, without_token


@given(st.text(), st.integers(1, 300))
def test_every_text_becomes_one_short_printable_line(text: str, most: int) -> None:
    """No control character, line break or direction mark survives, whatever comes."""
    shown = printable(text, most)

    assert shown.isprintable()
    assert len(shown) <= most


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (Words(), ""),
        (Words(message="HTTP 502 without a Graph error"), "HTTP 502 without a Graph error"),
        (Words(190, 463, "expired", "A1"), "code 190, subcode 463, trace A1, expired"),
        (Words(0, None, "", ""), "code 0"),
    ],
)
def test_words_are_told_in_one_line(words: Words, expected: str) -> None:
    """What Graph said comes in a fixed order, and what it did not say is left out."""
    assert told(words) == expected


def test_a_token_is_never_repeated() -> None:
    """The token and whatever looks like one are taken out of a message; the codes stay."""
    words = Words(190, 1, f"Malformed access token abc123, or EAA{'b' * 60}", "A1")

    assert without_token(words, "abc123") == Words(190, 1, "Malformed access token [token], or [long]", "A1")
    assert without_token(Words(message="plain"), "") == Words(message="plain")
