"""Which requests are let in: those with a session or the password; if there is no password, those to a loopback name.

A session is a cookie, which a browser also sends with requests that pages of strangers make. So a write has to say
which page it comes from, and it has to be JSON, a type that no page of a stranger can send without the browser asking
us for permission first (Fetch, CORS-safelisted).
"""

from urllib.parse import quote

from aiohttp import hdrs, web

from proxy.operator.documents import json_response
from proxy.operator.origin import FOREIGN_WRITE_ERROR, has_origin, is_foreign
from proxy.operator.password import OperatorPassword, given_password
from proxy.operator.sessions import Sessions
from proxy.operator.wrong_passwords import WrongPasswords
from proxy.rules.request.sites import host_of

LOGIN = "/login"
PUBLIC_PATHS = frozenset({LOGIN, "/operator-login.js", "/operator-login.css", "/api/session"})
"""The paths that are answered to everybody, as they are needed to log in."""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_RETRY_SECONDS = "5"
_MOST_PATH = 2000


class Gate:
    """Refuses requests that are not let in."""

    def __init__(self, password: OperatorPassword | None, wrong_passwords: WrongPasswords, sessions: Sessions) -> None:
        """Take what decides whether a request is let in.

        Args:
            password: With None, only requests to a loopback name are answered.
            wrong_passwords: Delays the answers to guesses.
            sessions: Who is logged in.
        """
        self._password = password
        self._wrong_passwords = wrong_passwords
        self._sessions = sessions

    async def refusal(self, request: web.Request) -> web.Response | None:
        """Return the answer that refuses a request, with a delay if its password was wrong; None if it is let in."""
        # DNS rebinding: a stranger's page whose name was made to lead here still sends its own name as the Host.
        if not self._password and host_of(request.headers.get(hdrs.HOST, "")) not in _LOOPBACK:
            return json_response({"error": "host: accepted: localhost"}, 403)
        if (
            self._password
            and request.path not in PUBLIC_PATHS
            and (refusal := await self._login_refusal(request, self._password))
        ):
            return refusal
        return self._write_refusal(request) if request.method == hdrs.METH_POST else None

    def has_session(self, request: web.Request) -> bool:
        """Tell whether a request comes from somebody who is logged in."""
        return self._sessions.seconds_left(self._sessions.token_in(request.cookies)) > 0

    def has_lost_session(self, request: web.Request) -> bool:
        """Tell whether a request that was let in by a session has none any more."""
        came_by_session = self._password is not None and hdrs.AUTHORIZATION not in request.headers
        return came_by_session and not self.has_session(request)

    async def _login_refusal(self, request: web.Request, password: OperatorPassword) -> web.Response | None:
        if self.has_session(request):
            return None
        if refusal := self.throttling_refusal(request):
            return refusal
        given = given_password(request)
        if given is not None and await password.is_right(given):
            self._wrong_passwords.record_success(request.remote or "")
            return None
        if hdrs.AUTHORIZATION in request.headers:
            await self._wrong_passwords.delay_failure(request.remote or "")
        return _login_challenge(request)

    def throttling_refusal(self, request: web.Request) -> web.Response | None:
        """Return the answer that refuses a request while many wrong passwords or checks wait; None if it may go on."""
        if self._wrong_passwords.is_throttled(request.remote or "", self._password.checking if self._password else 0):
            return json_response(
                {"error": "password: too many wrong ones; try again later"}, 429, {hdrs.RETRY_AFTER: _RETRY_SECONDS}
            )
        return None

    def _write_refusal(self, request: web.Request) -> web.Response | None:
        if is_foreign(request) or (self._relies_on_cookie(request) and not has_origin(request)):
            return json_response({"error": FOREIGN_WRITE_ERROR}, 403)
        if request.content_type != "application/json":
            return json_response({"error": "content-type: accepted: application/json"}, 415)
        return None

    def _relies_on_cookie(self, request: web.Request) -> bool:
        return self._password is not None and hdrs.AUTHORIZATION not in request.headers and self.has_session(request)


def _login_challenge(request: web.Request) -> web.Response:
    """Redirect a person to the login page, and answer anything else with 401.

    Our own pages get a scheme that makes no browser ask for a password; programs are asked for HTTP Basic.
    """
    accepted = request.headers.get(hdrs.ACCEPT, "")
    if request.method == hdrs.METH_GET and "text/html" in accepted and hdrs.AUTHORIZATION not in request.headers:
        return web.Response(status=303, headers={hdrs.LOCATION: _login_address(request)})
    is_page = "Sec-Fetch-Mode" in request.headers or accepted.startswith(("application/json", "text/event-stream"))
    scheme = "Session" if is_page else "Basic"
    return json_response(
        {"error": "log in, or give the password"}, 401, {hdrs.WWW_AUTHENTICATE: f'{scheme} realm="capi-proxy"'}
    )


def _login_address(request: web.Request) -> str:
    """Return the login's address relative to the requested page, since a server in front may add a prefix to both."""
    path = request.raw_path
    login = "./" + "../" * (path.partition("?")[0].count("/") - 1) + LOGIN.removeprefix("/")
    return login if path == "/" or len(path) > _MOST_PATH else f"{login}?next={quote(path, safe='')}"
