"""The coarse searches overlook no secret, and pass ordinary names."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.rules.payload.random_keys import LONG_WORD, is_noise
from proxy.rules.payload.shape_patterns import SUSPECTS, Suspect, has_suspects

_PIECES = st.one_of(
    st.from_regex(r"[a-z]{1,12}", fullmatch=True),
    st.from_regex(r"[0-9]{1,12}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9]{1,24}", fullmatch=True),
    st.uuids().map(str),
    st.sampled_from(["-", "_", "/", "+", "--"]),
)
_TEXTS = st.lists(_PIECES, min_size=1, max_size=12).map("".join)


@settings(max_examples=2000)
@given(_TEXTS)
def test_no_random_key_is_overlooked(text: str) -> None:
    """Every word that the full search takes for a random key is a suspect for the coarse search."""
    if any(is_noise(match[0]) for match in LONG_WORD.finditer(text)):
        assert Suspect.LONG_WORD in SUSPECTS.Match(text.encode())
        assert has_suspects(text)


@pytest.mark.parametrize("length", [20, 21, 40, 512, 600])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_one_pair_is_enough_wherever_it_stands(length: int, place: str) -> None:
    """A long word is a suspect if it has one digit next to a letter, at any place."""
    before = {"first": 0, "middle": length // 2, "last": length - 2}[place]
    text = "a" * before + "a7" + "a" * (length - before - 2)

    assert re.fullmatch(r"[a-z0-9]{20,}", text)
    assert Suspect.LONG_WORD in SUSPECTS.Match(text.encode())


@pytest.mark.parametrize(
    "path",
    [
        "women shoes hand-knitted-alpaca-jumper-42",
        "kategorie herren-winter-jacken-und-westen seite-2",
        "2026-11-26 autumn_knitwear_carousel_3",
    ],
)
def test_names_of_pages_are_not_read(path: str) -> None:
    """Lower-case words and numbers that are separated are no suspects, however long the name is."""
    assert not has_suspects(path)
