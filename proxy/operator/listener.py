"""The operator listener: its guard, and the parts that answer."""

import time
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from proxy.operator.alerts import AlertApi
from proxy.operator.dead import DeadLetterApi
from proxy.operator.doctor import DoctorApi
from proxy.operator.documents import BadQueryError, json_response
from proxy.operator.events import EventApi
from proxy.operator.feed import LiveFeed
from proxy.operator.gate import Gate
from proxy.operator.headers import add_security_headers
from proxy.operator.health import HealthApi
from proxy.operator.login import LoginApi
from proxy.operator.operator_context import OperatorContext, Part
from proxy.operator.overview import OverviewApi
from proxy.operator.page import Page
from proxy.operator.password import OperatorPassword
from proxy.operator.persons import PersonApi
from proxy.operator.pixels import PixelApi
from proxy.operator.sessions import Sessions
from proxy.operator.sources import SourceApi
from proxy.operator.status import StatusApi
from proxy.operator.stream import StreamApi
from proxy.operator.wrong_passwords import WrongPasswords
from proxy.queue.contract import QueueError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Operator:
    """Answers the owner, and nobody else."""

    def __init__(self, shown: OperatorContext) -> None:
        """Take what the owner may look at and order."""
        queue, lanes, now = shown.queue, shown.lanes, shown.now
        known = OperatorPassword(shown.password) if shown.password else None
        wrong_passwords, sessions = WrongPasswords(shown.conditions, now), Sessions(time.monotonic)
        self._gate = gate = Gate(known, wrong_passwords, sessions)
        status = StatusApi(
            queue, lanes=lanes, readiness=shown.readiness, sites=[site.name for site in shown.sites], now=now
        )
        self._parts: Sequence[Part] = (
            Page(),
            LoginApi(known, gate=gate, sessions=sessions, wrong_passwords=wrong_passwords, now=now),
            HealthApi(shown.readiness, shown.metrics, queue),
            status,
            EventApi(queue, lanes, now),
            StreamApi(LiveFeed(queue, status.known_status), gate),
            DeadLetterApi(queue, lanes, now),
            PixelApi(queue, lanes=lanes, orders=shown.orders, tokens=shown.tokens, sites=shown.sites, now=now),
            SourceApi(queue, sites=shown.sites, prefixes=shown.prefixes, now=now),
            OverviewApi(queue, now),
            AlertApi(shown.alerter),
            PersonApi(queue, shown.metrics, now=now, person_keys=shown.person_keys),
            DoctorApi(shown.examine, now),
            *shown.parts,
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
