"""A visitor's reference: names one visitor to the owner's commands and says nothing to anybody else.

Scripts of the site can read whatever a page of the same origin shows. So the opt-out page does not show the visitor
number, which would last longer in their hands than any cookie they may write. It shows the visitor's digest, sealed:
another text each time, which cannot be linked to the one before without the installation's secret.

Layout, in base32 without padding: nonce (12 bytes), digest (16) in AES-256-GCM with its tag (16): 71 characters. A
random nonce serves for 2^32 texts under one key (NIST SP 800-38D, 8.3); a text is made when somebody opens the page.
"""

import base64
import binascii
from collections.abc import Sequence
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE, _SEALED = 12, 44
REFERENCE_LENGTH = 71
"""Characters of a reference."""


def make(digest: bytes, person_key: bytes, entropy: int) -> str:
    """Return a reference of a person.

    Args:
        digest: 16 bytes by which the person is known to the queue.
        person_key: The current key of people's digests; the key of references is derived from it.
        entropy: 128 random bits never used for another reference.
    """
    nonce = entropy.to_bytes(16, "big")[:_NONCE]
    sealed = nonce + _cipher(person_key).encrypt(nonce, digest, None)
    return base64.b32encode(sealed).rstrip(b"=").decode().lower()


def resolve(text: str, person_keys: Sequence[bytes]) -> bytes | None:
    """Return the digest in a reference, however its letters are written; None if none of these keys made it."""
    sealed = _decoded("".join(text.split()))
    for key in person_keys if len(sealed) == _SEALED else ():
        try:
            return _cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except InvalidTag:
            continue
    return None


def _decoded(text: str) -> bytes:
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8)) if text.isascii() else b""
    except binascii.Error:
        return b""


def _cipher(person_key: bytes) -> AESGCM:
    return AESGCM(blake2b(b"", key=person_key, person=b"reference", digest_size=32).digest())
