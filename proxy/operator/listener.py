"""The operator listener: who may ask, and which parts answer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from aiohttp import hdrs, web

from proxy.delivery.lane import Lane
from proxy.operator.api import DeliveryApi
from proxy.operator.doctor import DoctorApi, Examine
from proxy.operator.documents import BadQueryError, json_response
from proxy.operator.health import HealthApi
from proxy.operator.overview import OverviewApi
from proxy.operator.page import Page
from proxy.operator.password import PasswordGate
from proxy.operator.persons import PersonApi
from proxy.operator.wrong_passwords import WrongPasswords
from proxy.queue.contract import Archive, QueueError
from proxy.rules.request.sites import host_of
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.readiness import Readiness

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Part(Protocol):
    """A part of what the listener answers."""

    def add_to(self, app: web.Application) -> None:
        """Add the addresses of the part."""


class Operator:
    """Answers the owner, and nobody else."""

    def __init__(  # noqa: PLR0913 - everything the owner may look at
        self,
        password: str,
        *,
        queue: Archive,
        metrics: Metrics,
        lanes: Mapping[str, Lane],
        conditions: Conditions,
        readiness: Readiness,
        now: Callable[[], int],
        examine: Examine,
        person_keys: Sequence[bytes] = (),
    ) -> None:
        """Take what the owner may look at.

        Args:
            password: Without one, only requests to a loopback name are answered.
            queue: Where events wait, and what is kept of them.
            metrics: The counters.
            lanes: By pixel id.
            conditions: Hear of wrong passwords.
            readiness: Says whether the proxy is ready.
            now: Server clock in milliseconds.
            examine: Looks at configuration, machine and public addresses.
            person_keys: Keys of the digests of persons, the current one first.
        """
        self._password = PasswordGate(password, WrongPasswords(conditions, now)) if password else None
        self._parts: Sequence[Part] = (
            Page(),
            HealthApi(readiness, metrics, queue),
            DeliveryApi(queue, lanes=lanes, readiness=readiness, now=now),
            OverviewApi(queue, now),
            PersonApi(queue, metrics, now=now, person_keys=person_keys),
            DoctorApi(examine, now),
        )

    def app(self) -> web.Application:
        """Return the application of all parts, guarded."""
        app = web.Application(middlewares=[self._guard])
        for part in self._parts:
            part.add_to(app)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if refusal := await self._refusal(request):
            return refusal
        try:
            return await handler(request)
        except BadQueryError as error:
            return json_response({"error": str(error)}, 400)
        except QueueError as error:
            return json_response({"error": str(error)}, 503)

    async def _refusal(self, request: web.Request) -> web.Response | None:
        if self._password and (refusal := await self._password.refusal(request)):
            return refusal
        # A page of a stranger, whose name was made to lead here (DNS rebinding), has a Host of its own.
        if not self._password and host_of(request.headers.get(hdrs.HOST, "")) not in _LOOPBACK:
            return json_response({"error": "host: accepted: localhost"}, 403)
        # No page of a stranger can send this type without being asked (Fetch, CORS-safelisted request-header).
        if request.method == hdrs.METH_POST and request.content_type != "application/json":
            return json_response({"error": "content-type: accepted: application/json"}, 415)
        return None
