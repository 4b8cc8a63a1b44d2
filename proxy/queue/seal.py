"""Sealing of what rests on disk: AES-256-GCM under keys derived from the installation's secret.

Layout of a sealed text: version (1 byte), id of the secret (4), salt of the opening (16), counter (8), ciphertext
with its tag. Every opening of the queue draws a salt and derives a key of its own, so a counter serves as the nonce,
and the limit on how many random nonces one key may have does not matter. Old secrets still open what they sealed.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from itertools import count

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.model.keys import derive

_VERSION = b"\x01"
_ID, _SALT, _COUNTER = 4, 16, 8
_HEAD = len(_VERSION) + _ID + _SALT + _COUNTER


class SealError(Exception):
    """No listed secret opens this text, or it was changed."""


class UnlistedSecretError(SealError):
    """The secret that sealed this text is not among those that are known here."""


class Sealer:
    """Seals with the current secret; opens with any listed one."""

    def __init__(self, secret: str, old_secrets: Sequence[str] = ()) -> None:
        self._secrets = {_id(listed): listed for listed in (*reversed(old_secrets), secret)}
        self._secret = secret
        self._salt = os.urandom(_SALT)
        self._head = _VERSION + _id(secret) + self._salt
        self._cipher = AESGCM(derive(secret, "seal", salt=self._salt))
        self._counter = count()
        self._opener = lru_cache(maxsize=64)(self._cipher_of)

    def key(self, purpose: str) -> bytes:
        """Return a key derived from the current secret for one purpose of the queue."""
        return derive(self._secret, purpose)

    @property
    def secret_id(self) -> bytes:
        """The id of the current secret, which is in every text that it seals, and reveals nothing of the secret."""
        return _id(self._secret)

    def has_secret_of(self, sealed: bytes) -> bool:
        """Return whether a listed secret sealed this text; its first bytes are enough."""
        return sealed[1 : 1 + _ID] in self._secrets

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """Seal a text; ``bound`` (say, the pixel it belongs to) is needed again to open it."""
        counter = next(self._counter).to_bytes(_COUNTER, "big")
        return self._head + counter + self._cipher.encrypt(_nonce(counter), plain, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """Open a sealed text.

        Raises:
            SealError: when no listed secret sealed it, or it or ``bound`` was changed.
        """
        head, text = sealed[:_HEAD], sealed[_HEAD:]
        if len(head) < _HEAD or head[:1] != _VERSION:
            raise SealError("not a sealed text of a known version")
        secret_id, salt = head[1 : 1 + _ID], head[1 + _ID : 1 + _ID + _SALT]
        try:
            return self._opener(secret_id, salt).decrypt(_nonce(head[-_COUNTER:]), text, bound)
        except InvalidTag:
            raise SealError("a sealed text was changed") from None

    def _cipher_of(self, secret_id: bytes, salt: bytes) -> AESGCM:
        if secret_id not in self._secrets:
            raise UnlistedSecretError("sealed with a secret that is not listed")
        return AESGCM(derive(self._secrets[secret_id], "seal", salt=salt))


def _id(secret: str) -> bytes:
    return derive(secret, "seal-id", length=_ID)


def _nonce(counter: bytes) -> bytes:
    return b"\x00" * 4 + counter
