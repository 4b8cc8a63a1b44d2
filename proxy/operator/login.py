"""Logging in and out: a page that asks for the password, and a cookie for 12 hours."""

from collections.abc import Callable

from aiohttp import web

from proxy.operator.documents import BadQueryError, json_object, json_response
from proxy.operator.gate import Gate
from proxy.operator.origin import is_secure
from proxy.operator.password import OperatorPassword
from proxy.operator.sessions import SESSION_S, Sessions
from proxy.operator.wrong_passwords import WrongPasswords

_MOST_CHARACTERS = 1024


class LoginApi:
    """Opens and ends sessions."""

    def __init__(
        self,
        password: OperatorPassword | None,
        *,
        gate: Gate,
        sessions: Sessions,
        wrong_passwords: WrongPasswords,
        now: Callable[[], int],
    ) -> None:
        """Take what a session needs.

        Args:
            password: None when there is none, so that nobody needs to log in.
            gate: Refuses requests while there are too many guesses.
            sessions: Who is logged in.
            wrong_passwords: Delays the answers to guesses.
            now: Server clock in milliseconds.
        """
        self._password = password
        self._gate = gate
        self._sessions = sessions
        self._wrong_passwords = wrong_passwords
        self._now = now

    def add_to(self, app: web.Application) -> None:
        """Add the routes of this part."""
        app.router.add_get("/api/session", self._session)
        app.router.add_post("/api/session", self._open)
        app.router.add_post("/api/session/end", self._end)

    async def _session(self, request: web.Request) -> web.Response:
        left = self._sessions.seconds_left(self._sessions.token_in(request.cookies))
        return json_response(
            {"password": self._password is not None, "until": self._time_after(left) if left else None}
        )

    async def _open(self, request: web.Request) -> web.Response:
        if self._password is None:
            raise BadQueryError("password: there is none; nobody needs to log in")
        if refusal := self._gate.throttling_refusal(request):
            return refusal
        given = (await json_object(request)).get("password")
        if not isinstance(given, str) or len(given) > _MOST_CHARACTERS:
            raise BadQueryError('password: accepted: {"password": "…"}')
        remote = request.remote or ""
        if not await self._password.is_right(given):
            await self._wrong_passwords.delay_failure(remote)
            return json_response({"error": "password: wrong"}, 401)
        self._wrong_passwords.record_success(remote)
        return self._new_session_answer(request)

    def _new_session_answer(self, request: web.Request) -> web.Response:
        """Answer with a new session, and end the browser's previous one, whose token somebody else may know."""
        self._sessions.end(self._sessions.token_in(request.cookies))
        answer = json_response({"until": self._time_after(SESSION_S)})
        answer.set_cookie(
            self._sessions.cookie,
            self._sessions.open(),
            max_age=SESSION_S,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=is_secure(request) or None,
        )
        return answer

    async def _end(self, request: web.Request) -> web.Response:
        self._sessions.end(self._sessions.token_in(request.cookies))
        answer = json_response({})
        answer.del_cookie(self._sessions.cookie, path="/")
        return answer

    def _time_after(self, seconds: float) -> int:
        return self._now() + int(seconds * 1000)
