"""The password of the operator listener: HTTP Basic (RFC 7617), compared in constant time."""

import base64
import hmac

from aiohttp import hdrs, web

from proxy.operator.wrong_passwords import WrongPasswords

_USER = "operator"
_RETRY_SECONDS = "5"


class PasswordGate:
    """Lets in who gives the password."""

    def __init__(self, password: str, wrong_passwords: WrongPasswords) -> None:
        self._expected = base64.b64encode(f"{_USER}:{password}".encode())
        self._wrong_passwords = wrong_passwords

    async def refusal(self, request: web.Request) -> web.Response | None:
        """Return the answer to a request without the password, late if it was a wrong one; None lets the request in."""
        remote = request.remote or ""
        if self._wrong_passwords.too_many(remote):
            return web.Response(status=429, headers={hdrs.RETRY_AFTER: _RETRY_SECONDS})
        if self._is_right(request):
            self._wrong_passwords.right(remote)
            return None
        if hdrs.AUTHORIZATION in request.headers:
            await self._wrong_passwords.wrong(remote)
        return web.Response(status=401, headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="capi-proxy"'})

    def _is_right(self, request: web.Request) -> bool:
        kind, _, credentials = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        return kind.lower() == "basic" and hmac.compare_digest(credentials.encode(errors="replace"), self._expected)
