"""Graph's error texts, as stored and shown, contain no token and nothing about a person."""

import pytest

from proxy.graph.error_text import safe_meta_message, without_secret
from proxy.model.verdict import Dead, Delivered, GraphError, Pause, Retry, Split, Verdict

TOKEN = "EAAB-short-token"


@pytest.mark.parametrize(
    "verdict",
    [
        Dead("rejected", GraphError(100, 33, f"Malformed access token {TOKEN}", "trace")),
        Pause("token", GraphError(190, None, f"{TOKEN} expired")),
        Retry("down", graph_error=GraphError(2, None, f"{TOKEN}?")),
        Split(GraphError(100, None, TOKEN)),
    ],
    ids=lambda verdict: type(verdict).__name__,
)
def test_no_verdict_repeats_the_token(verdict: Verdict) -> None:
    """Graph may repeat the token, which is removed before the verdict is stored, however short it is."""
    assert TOKEN not in repr(without_secret(verdict, TOKEN))
    assert without_secret(verdict, "another") is verdict


def test_a_delivered_batch_has_no_words() -> None:
    """A verdict without an error stays unchanged."""
    assert without_secret(Delivered(1, 1), TOKEN) == Delivered(1, 1)


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("Invalid parameter: value (code 2804009) of event 3", "Invalid parameter: value (code 2804009) of event 3"),
        ("Unknown anna.secretova@mail.example here", "Unknown […] here"),
        ("from 93.184.216.34, please", "from […], please"),
        ("from 2001:db8::8a2e:370:7334 too", "from […] too"),
        ("call +49 1517 6665544 now", "call […] now"),
        (f"token {'E' * 180}", "token [long]"),
        ("one\ntwo\x1b[31m", "one\\ntwo\\x1b[31m"),
        ("x y " * 200, None),
    ],
)
def test_words_that_are_kept_are_bounded_and_say_nothing_of_people(words: str, kept: str | None) -> None:
    """Addresses, numbers and tokens are replaced, codes stay readable, and the text has at most 200 characters."""
    found = safe_meta_message(GraphError(100, None, words))
    assert len(found) <= 200
    assert kept is None or found == kept
