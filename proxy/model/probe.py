"""The probe: the doctor asks a running proxy, through its public host name, what the proxy sees of a request.

Without the installation's secret the probe cannot be found: its path is derived from the secret, and anything but a
question of the last two minutes gets the answer of an unknown path. Question and answer are encrypted (AES-256-GCM), so
whoever replays a question cannot read the answer.

A question is the nonce (12 bytes), then the sealed JSON of its time and site. An answer is a nonce, then sealed JSON,
bound to the question's nonce: an answer to another question, out of a cache, does not open.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proxy.model.keys import derive

MOST_BYTES = 1024
"""The most bytes of a question."""
COOKIE_SECONDS = 90
"""The lifetime of the cookie that an answer sets."""
_NONCE = 12
_LIFE_MS = 120_000


@dataclass(frozen=True, slots=True)
class ProbeQuestion:
    """A question, and what binds its answer to it."""

    nonce: bytes
    body: bytes


class ProbeKeys:
    """Seals and opens questions and answers."""

    def __init__(self, secret: str) -> None:
        """Derive the keys of an installation."""
        self.leaf = _word(derive(secret, "probe-leaf", length=5))
        """The last segment of the path."""
        self.cookie = _word(derive(secret, "probe-cookie", length=5))
        """The name of the cookie that a question carries and an answer sets."""
        self._questions = AESGCM(derive(secret, "probe-question"))
        self._answers = AESGCM(derive(secret, "probe-answer"))

    def question(self, site: str, *, now: int) -> ProbeQuestion:
        """Return a question for one site; ``now`` is this machine's clock in milliseconds."""
        nonce, plain = os.urandom(_NONCE), orjson.dumps([now, site])
        return ProbeQuestion(nonce, _text(nonce + self._questions.encrypt(nonce, plain, None)))

    def read_question(self, body: bytes, *, now: int) -> tuple[bytes, str] | None:
        """Return nonce and site of a question; None if the body is not a question of the last two minutes.

        Args:
            body: The body of the request.
            now: This machine's clock in milliseconds.
        """
        sealed = _bytes(body)
        try:
            at, site = orjson.loads(self._questions.decrypt(sealed[:_NONCE], sealed[_NONCE:], None))
        except (InvalidTag, ValueError):
            return None
        return (sealed[:_NONCE], site) if abs(now - at) <= _LIFE_MS else None

    def answer(self, asked: bytes, seen: Mapping[str, Any]) -> bytes:
        """Return the encrypted answer ``seen`` to the question whose nonce is ``asked``."""
        nonce = os.urandom(_NONCE)
        return _text(nonce + self._answers.encrypt(nonce, orjson.dumps(seen), asked))

    def read_answer(self, body: bytes, question: ProbeQuestion) -> Mapping[str, Any] | None:
        """Return what an answer says; None if it does not answer this question."""
        sealed = _bytes(body)
        try:
            seen = orjson.loads(self._answers.decrypt(sealed[:_NONCE], sealed[_NONCE:], question.nonce))
        except (InvalidTag, ValueError):
            return None
        return seen if isinstance(seen, dict) else None


def _word(number: bytes) -> str:
    return base64.b32encode(number).decode().lower()


def _text(sealed: bytes) -> bytes:
    """Return bytes in base64, so that no server on the way takes them for anything but text."""
    return base64.urlsafe_b64encode(sealed)


def _bytes(text: bytes) -> bytes:
    try:
        return base64.urlsafe_b64decode(text) if len(text) <= 8 * MOST_BYTES else b""
    except ValueError:
        return b""
