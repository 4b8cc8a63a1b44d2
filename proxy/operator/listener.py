"""The operator listener: who may ask, and which parts answer."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from aiohttp import web

from proxy.alerts.alerter import Alerter
from proxy.delivery.lane import Lane
from proxy.operator.alerts import AlertApi
from proxy.operator.api import DeliveryApi
from proxy.operator.doctor import DoctorApi, Examine
from proxy.operator.documents import BadQueryError, json_response
from proxy.operator.gate import Gate
from proxy.operator.headers import add_security_headers
from proxy.operator.health import HealthApi
from proxy.operator.login import LoginApi
from proxy.operator.overview import OverviewApi
from proxy.operator.page import Page
from proxy.operator.password import OperatorPassword
from proxy.operator.persons import PersonApi
from proxy.operator.sessions import Sessions
from proxy.operator.wrong_passwords import WrongPasswords
from proxy.queue.contract import Archive, QueueError
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.readiness import Readiness

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
        alerter: Alerter | None = None,
    ) -> None:
        """Take what the owner may look at.

        Args:
            password: In clear or hashed; without one, only requests to a loopback name are answered.
            queue: Where events wait, and what is kept of them.
            metrics: The counters.
            lanes: By pixel id.
            conditions: Hear of wrong passwords.
            readiness: Says whether the proxy is ready.
            now: Server clock in milliseconds.
            examine: Looks at configuration, machine and public addresses.
            person_keys: Keys of the digests of persons, the current one first.
            alerter: Tells of conditions; None where nobody is to be told.
        """
        known = OperatorPassword(password) if password else None
        wrong_passwords, sessions = WrongPasswords(conditions, now), Sessions(time.monotonic)
        self._gate = gate = Gate(known, wrong_passwords, sessions)
        self._parts: Sequence[Part] = (
            Page(),
            LoginApi(known, gate=gate, sessions=sessions, wrong_passwords=wrong_passwords, now=now),
            HealthApi(readiness, metrics, queue),
            DeliveryApi(queue, lanes=lanes, readiness=readiness, now=now),
            OverviewApi(queue, now),
            PersonApi(queue, metrics, now=now, person_keys=person_keys),
            AlertApi(alerter),
            DoctorApi(examine, now),
        )

    def app(self) -> web.Application:
        """Return the application of all parts, guarded."""
        app = web.Application(middlewares=[self._guard])
        app.on_response_prepare.append(add_security_headers)
        for part in self._parts:
            part.add_to(app)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if refusal := await self._gate.refusal(request):
            return refusal
        try:
            return await handler(request)
        except BadQueryError as error:
            return json_response({"error": str(error)}, 400)
        except QueueError as error:
            return json_response({"error": str(error)}, 503)
