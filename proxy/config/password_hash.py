"""A password as it may stand in the configuration: what scrypt (RFC 7914) makes of it, from which nobody gets it back.

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
    """What is known of a password."""

    cost_log: int
    block: int
    parallel: int
    salt: bytes
    key: bytes

    def __str__(self) -> str:
        """Return it as it stands in the configuration."""
        texts = (base64.b64encode(part).decode() for part in (self.salt, self.key))
        return _WORD + ":".join((str(self.cost_log), str(self.block), str(self.parallel), *texts))

    def matches(self, password: str) -> bool:
        """Tell whether it is of this password; takes a core for a part of a second, and does not hold the others up."""
        return hmac.compare_digest(_key(password, self), self.key)


def hash_of(password: str, salt: bytes) -> PasswordHash:
    """Return what may be written down of a password; the salt is at random, another one each time."""
    unkeyed = PasswordHash(_COST_LOG, _BLOCK, _PARALLEL, salt, bytes(_KEY_BYTES))
    return unkeyed._replace(key=_key(password, unkeyed))


def is_hash(text: str) -> bool:
    """Tell whether a configured password is meant as a hash."""
    return text.startswith(_WORD)


def read_hash(text: str) -> PasswordHash:
    """Read what stands in the configuration.

    Raises:
        ValueError: when it is none, weaker than one made here might be, or would take too much memory to check.
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
