"""A reference names one visitor to the owner and nobody to anybody else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.identity.reference import LENGTH, make, resolve

KEY, OLD = b"k" * 32, b"o" * 32
DIGEST = bytes(range(16))


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**128 - 1))
def test_a_reference_leads_back(digest: bytes, entropy: int) -> None:
    """Whatever the digest and the chance, under the current key and an old one."""
    text = make(digest, OLD, entropy)

    assert (len(text), resolve(text, [KEY, OLD])) == (LENGTH, digest)


@pytest.mark.parametrize("change", [str.upper, lambda text: f" {text[:20]}\n {text[20:]} "])
def test_a_reference_survives_a_letter(change: type[str]) -> None:
    """People copy it with blanks, line breaks and capitals."""
    assert resolve(change(make(DIGEST, KEY, 1)), [KEY]) == DIGEST


def test_two_references_of_one_visitor_have_nothing_in_common() -> None:
    """No byte of the text stays in its place but by chance, and the digest does not stand in it."""
    texts = [make(DIGEST, KEY, 0x1234567890ABCDEF << (64 * number)) for number in range(2)]
    first, second = (base64.b32decode(text.upper() + "=") for text in texts)

    assert sum(a == b for a, b in zip(first, second, strict=True)) < 8
    assert DIGEST[:4] not in first


@given(st.data())
def test_a_changed_reference_is_none(data: st.DataObject) -> None:
    """Whichever letter is exchanged, but for the bits that the last one does not use."""
    text = make(DIGEST, KEY, 1)
    place = data.draw(st.integers(0, LENGTH - 2))
    letter = data.draw(
        st.sampled_from("abcdefghijklmnopqrstuvwxyz234567").filter(lambda candidate: candidate != text[place])
    )

    assert resolve(text[:place] + letter + text[place + 1 :], [KEY]) is None


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    """Whoever asks for an erasure may write what they like."""
    assert resolve(text, [KEY]) is None


def test_another_installation_reads_nothing() -> None:
    """Without the secret a reference says nothing."""
    assert resolve(make(DIGEST, KEY, 1), [OLD]) is None
