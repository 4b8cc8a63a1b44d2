"""Graph's words for people: short, printable, without the token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.graph.error_text import printable, told, without_token
from proxy.model.verdict import GraphError


@given(st.text(), st.integers(1, 300))
def test_every_text_becomes_one_short_printable_line(text: str, most: int) -> None:
    """No control character, line break or direction mark survives, whatever comes."""
    shown = printable(text, most)

    assert shown.isprintable()
    assert len(shown) <= most


@pytest.mark.parametrize(
    ("graph_error", "expected"),
    [
        (GraphError(), ""),
        (GraphError(message="HTTP 502 without a Graph error"), "HTTP 502 without a Graph error"),
        (GraphError(190, 463, "expired", "A1"), "code 190, subcode 463, trace A1, expired"),
        (GraphError(0, None, "", ""), "code 0"),
    ],
)
def test_words_are_told_in_one_line(graph_error: GraphError, expected: str) -> None:
    """What Graph said comes in a fixed order, and what it did not say is left out."""
    assert told(graph_error) == expected


def test_a_token_is_never_repeated() -> None:
    """The token and whatever looks like one are taken out of a message; the codes stay."""
    graph_error = GraphError(190, 1, f"Malformed access token abc123, or EAA{'b' * 60}", "A1")

    assert without_token(graph_error, "abc123") == GraphError(190, 1, "Malformed access token [token], or [long]", "A1")
    assert without_token(GraphError(message="plain"), "") == GraphError(message="plain")
