"""The password of the operator: compared in constant time, whether it is configured in clear or as a hash."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets

from aiohttp import hdrs, web

from proxy.config.password_hash import is_hash, read_hash

USER = "operator"


class OperatorPassword:
    """Checks passwords against the configured one."""

    def __init__(self, configured: str) -> None:
        """Take the password as it is configured: in clear, or as ``password_hash`` writes it."""
        self._key = secrets.token_bytes(32)
        self._hash = read_hash(configured) if is_hash(configured) else None
        # A keyed digest of the right password, as soon as it is known: checking the hash takes a core for a while.
        self._right = b"" if self._hash else self._digest(configured)
        self.checking = 0
        """Passwords that wait for the check of the hash, or are being checked."""
        # One at a time, so that guesses take one core at most.
        self._turn = asyncio.Semaphore(1)

    async def is_right(self, password: str) -> bool:
        """Tell whether this is the password."""
        digest = self._digest(password)
        if hmac.compare_digest(digest, self._right) or self._hash is None:
            return hmac.compare_digest(digest, self._right)
        self.checking += 1
        try:
            async with self._turn:
                is_right = await asyncio.to_thread(self._hash.matches, password)
        finally:
            self.checking -= 1
        if is_right:
            self._right = digest
        return is_right

    def _digest(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode(errors="surrogatepass"), hashlib.sha256)


def given_password(request: web.Request) -> str | None:
    """Return the operator's password that a request gives by HTTP Basic (RFC 7617); None if it gives none."""
    kind, _, credentials = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return password if colon and user == USER else None
