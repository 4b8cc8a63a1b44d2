"""The hash of a password, made with scrypt (RFC 7914), that may stand in the configuration in place of the password.

``scrypt:15:8:3:SALT:KEY``: the logarithm of the cost, block size, parallelism, then salt and key in base64.
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import NamedTuple

_WORD = "scrypt:"
_WRITTEN = re.compile(
    r"scrypt:(\d{1,2}):(\d{1,2}):(\d{1,2}):([A-Za-z0-9+/]{16,128}={0,2}):([A-Za-z0-9+/]{40,90}={0,2})", re.ASCII
)
_COST_LOG, _BLOCK, _PARALLEL = 15, 8, 3
"""32 MiB and some 0.2 s; one of the equally strong choices of OWASP's cheat sheet about storing passwords."""
_LEAST_COST_LOG = 14
_MOST_MEMORY = 256 << 20
_MOST_PARALLEL = 16
_KEY_BYTES = 32
SALT_BYTES = 16


class PasswordHash(NamedTuple):
    """The hash of a password, with its salt and the cost parameters of scrypt."""

    cost_log: int
    block: int
    parallel: int
    salt: bytes
    key: bytes

    def __str__(self) -> str:
        """Return the hash in the form of the configuration."""
        texts = (base64.b64encode(part).decode() for part in (self.salt, self.key))
        return _WORD + ":".join((str(self.cost_log), str(self.block), str(self.parallel), *texts))

    def matches(self, password: str) -> bool:
        """Tell whether this is the hash of a password; takes a part of a second, in which other threads can run."""
        return hmac.compare_digest(_key(password, self), self.key)


def hash_of(password: str, salt: bytes) -> PasswordHash:
    """Return the hash of a password; ``salt`` has to be random, and a new one each time."""
    unkeyed = PasswordHash(_COST_LOG, _BLOCK, _PARALLEL, salt, bytes(_KEY_BYTES))
    return unkeyed._replace(key=_key(password, unkeyed))


def is_hash(text: str) -> bool:
    """Tell whether a configured password is meant as a hash."""
    return text.startswith(_WORD)


def read_hash(text: str) -> PasswordHash:
    """Read a hash from the configuration.

    Raises:
        ValueError: when the text is no hash, or the hash is too weak, or takes too much memory or time to check.
    """
    found = _WRITTEN.fullmatch(text)
    if not found:
        raise ValueError("no hash of a password")
    cost_log, block, parallel = map(int, found.groups()[:3])
    try:
        salt, key = (base64.b64decode(part, validate=True) for part in found.groups()[3:])
    except binascii.Error as error:
        raise ValueError("no hash of a password") from error
    read = PasswordHash(cost_log, block, parallel, salt, key)
    if cost_log < _LEAST_COST_LOG or not block or not 0 < parallel <= _MOST_PARALLEL or _memory(read) > _MOST_MEMORY:
        raise ValueError("a hash of other strength than is accepted")
    return read


def _memory(parts: PasswordHash) -> int:
    return (128 * parts.block) << parts.cost_log


def _key(password: str, parts: PasswordHash) -> bytes:
    return hashlib.scrypt(
        password.encode(errors="surrogatepass"),
        salt=parts.salt,
        n=1 << parts.cost_log,
        r=parts.block,
        p=parts.parallel,
        maxmem=2 * _MOST_MEMORY,
        dklen=len(parts.key) or _KEY_BYTES,
    )
