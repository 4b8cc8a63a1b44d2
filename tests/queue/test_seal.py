"""Sealed texts open only unchanged and with a listed secret."""

import pytest

from proxy.queue.seal import Sealer, SealError

NEW, OLD, OTHER = "n" * 32, "o" * 32, "x" * 32


def test_a_sealed_text_opens_with_the_same_secret() -> None:
    """A text opens with the secret that sealed it."""
    sealed = Sealer(NEW).seal(b"plain", b"pixel")

    assert Sealer(NEW).open(sealed, b"pixel") == b"plain"


def test_old_secrets_still_open() -> None:
    """After a rotation, texts of the old secret open as long as it is listed."""
    sealed = Sealer(OLD).seal(b"plain", b"pixel")

    assert Sealer(NEW, [OLD]).open(sealed, b"pixel") == b"plain"


def test_the_new_secret_seals() -> None:
    """After a rotation, nothing new depends on the old secret."""
    sealed = Sealer(NEW, [OLD]).seal(b"plain", b"pixel")

    assert Sealer(NEW).open(sealed, b"pixel") == b"plain"


def test_an_unlisted_secret_is_named_as_the_reason() -> None:
    """A text sealed with a secret that is not listed is refused with that reason."""
    sealed = Sealer(OTHER).seal(b"plain", b"pixel")

    with pytest.raises(SealError, match="not listed"):
        Sealer(NEW, [OLD]).open(sealed, b"pixel")


@pytest.mark.parametrize("position", [0, 3, 10, 25, 30, -1])
def test_a_changed_byte_is_noticed(position: int) -> None:
    """No byte of a sealed text can be changed unnoticed."""
    sealed = bytearray(Sealer(NEW).seal(b"plain text", b"pixel"))
    sealed[position] ^= 1

    with pytest.raises(SealError):
        Sealer(NEW).open(bytes(sealed), b"pixel")


def test_a_text_belongs_to_what_it_was_bound_to() -> None:
    """A segment moved to another pixel does not open."""
    sealed = Sealer(NEW).seal(b"plain", b"pixel")

    with pytest.raises(SealError):
        Sealer(NEW).open(sealed, b"another")


@pytest.mark.parametrize("text", [b"", b"\x01", b"\x02" + b"x" * 60])
def test_what_is_no_sealed_text_is_refused(text: bytes) -> None:
    """Short or foreign bytes are refused."""
    with pytest.raises(SealError):
        Sealer(NEW).open(text, b"pixel")


def test_equal_texts_look_different() -> None:
    """Two seals of one text share neither nonce nor ciphertext, within an opening and across openings."""
    first, second = Sealer(NEW), Sealer(NEW)

    assert len({first.seal(b"plain", b""), first.seal(b"plain", b""), second.seal(b"plain", b"")}) == 3
