"""A reference identifies one visitor to the owner, and tells nobody else anything."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.identity.reference import REFERENCE_LENGTH, make, resolve

KEY, OLD = b"k" * 32, b"o" * 32
DIGEST = bytes(range(16))


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**128 - 1))
def test_a_reference_leads_back(digest: bytes, entropy: int) -> None:
    """A reference resolves to its digest under the current key and an old one, whatever digest and entropy."""
    text = make(digest, OLD, entropy)

    assert (len(text), resolve(text, [KEY, OLD])) == (REFERENCE_LENGTH, digest)


@pytest.mark.parametrize("change", [str.upper, lambda text: f" {text[:20]}\n {text[20:]} "])
def test_a_reference_survives_a_letter(change: type[str]) -> None:
    """A reference may be copied with blanks, line breaks and capitals."""
    assert resolve(change(make(DIGEST, KEY, 1)), [KEY]) == DIGEST


def test_two_references_of_one_visitor_have_nothing_in_common() -> None:
    """Two references agree in no more bytes than chance explains, and the digest is not visible in them."""
    texts = [make(DIGEST, KEY, 0x1234567890ABCDEF << (64 * number)) for number in range(2)]
    first, second = (base64.b32decode(text.upper() + "=") for text in texts)

    assert sum(a == b for a, b in zip(first, second, strict=True)) < 8
    assert DIGEST[:4] not in first


@given(st.data())
def test_a_changed_reference_is_none(data: st.DataObject) -> None:
    """No reference with an exchanged letter resolves; the last letter, some of whose bits are unused, is not tried."""
    text = make(DIGEST, KEY, 1)
    place = data.draw(st.integers(0, REFERENCE_LENGTH - 2))
    letter = data.draw(
        st.sampled_from("abcdefghijklmnopqrstuvwxyz234567").filter(lambda candidate: candidate != text[place])
    )

    assert resolve(text[:place] + letter + text[place + 1 :], [KEY]) is None


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    """Any text may be given as a reference; one that is none resolves to nothing."""
    assert resolve(text, [KEY]) is None


def test_another_installation_reads_nothing() -> None:
    """A reference resolves to nothing under another secret."""
    assert resolve(make(DIGEST, KEY, 1), [OLD]) is None
