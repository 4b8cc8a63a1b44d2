"""All keys of an installation, derived from its one secret (HKDF-SHA256, RFC 5869)."""

import base64

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive(secret: str, purpose: str, *, length: int = 32, salt: bytes | None = None) -> bytes:
    """Derive a key; keys of different purposes have nothing in common.

    Args:
        secret: The secret of the installation.
        purpose: What the key is for.
        length: Bytes of the key.
        salt: Tells keys of one purpose apart.
    """
    kdf = HKDF(algorithm=SHA256(), length=length, salt=salt, info=b"capi-proxy:" + purpose.encode())
    return kdf.derive(secret.encode())


def person_key(secret: str) -> bytes:
    """Return the key of person digests, under which the queue lists suppressions."""
    return derive(secret, "people")


def prefix_of(secret: str, site: str) -> str:
    """Return the derived public path of a site: ``/`` and 8 characters of base32.

    No filter-list rule matches this shape, and each installation and site has its own.
    """
    return "/" + base64.b32encode(derive(secret, f"prefix:{site}", length=5)).decode().lower()
