"""The public listener: tag, collect, image, health. Facts in, an outcome out; no rule lives here."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from aiohttp import hdrs, web

from proxy.config.schema import Site
from proxy.edge.admission import Admission
from proxy.edge.answers import JSON, PREFLIGHT, allow, refusal, script
from proxy.edge.arrival import Arrival
from proxy.edge.collect import CollectDoor
from proxy.edge.foreign import Foreign
from proxy.edge.image import ImageDoor
from proxy.edge.opt_out import OptOutDoor
from proxy.edge.reading import AdmittedRequest, RequestReader
from proxy.edge.turns import Turns
from proxy.queue.contract import Intake
from proxy.rules.fairness import ClientNetwork, client_network
from proxy.rules.limits import BODY
from proxy.rules.policy import Policy
from proxy.rules.request.client_address import Networks
from proxy.rules.request.routes import Door, Entrance, Routes, site_of
from proxy.rules.request.sites import belongs, host_of
from proxy.static_files import Asset
from proxy.telemetry.conditions import Conditions
from proxy.telemetry.faults import FaultReporter
from proxy.telemetry.metrics import Metrics

_METHODS = {
    Door.TAG: (hdrs.METH_GET, hdrs.METH_HEAD),
    Door.COLLECT: (hdrs.METH_POST, hdrs.METH_OPTIONS),
    Door.IMAGE: (hdrs.METH_GET,),
    Door.CHOICE: (hdrs.METH_GET, hdrs.METH_POST, hdrs.METH_OPTIONS),
}
_NO_DOOR = "none"
# Browsers trust pages of the machine itself as they trust https (W3C, Secure Contexts).
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the listener needs of the configuration."""

    routes: Routes
    policies: Mapping[str, Policy]
    """By site name."""
    tags: Mapping[str, Asset]
    sites: Sequence[Site]
    trusted: Networks
    client_ip_header: str


class Public:
    """Answers strangers."""

    def __init__(  # noqa: PLR0913 - its collaborators and the clock
        self,
        entry: Entry,
        *,
        queue: Intake,
        admission: Admission,
        metrics: Metrics,
        conditions: Conditions,
        turns: Turns,
        reader: RequestReader,
        collect: CollectDoor,
        image: ImageDoor,
        now: Callable[[], int],
    ) -> None:
        self._entry = entry
        self._queue = queue
        self._admission = admission
        self._metrics = metrics
        self._turns = turns
        self._reader = reader
        self._collect_door = collect
        self._image_door = image
        self._doors: dict[Door, Callable[[AdmittedRequest], Awaitable[web.Response]]] = {
            Door.TAG: self._tag,
            Door.COLLECT: self._collect,
            Door.IMAGE: self._image,
            Door.CHOICE: self._choice,
        }
        self._choices = OptOutDoor(queue, metrics)
        self._foreign = Foreign(conditions, now)
        self._faults = FaultReporter(conditions, metrics)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.accepting = True

    def app(self) -> web.Application:
        """Return the application; it holds no lifetime of its own."""
        app = web.Application(client_max_size=BODY)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_route("*", "/{path:.*}", self._enter)
        return app

    async def drain(self, seconds: float) -> None:
        """Wait until no request is under way, at most so long.

        aiohttp drops what arrives once its shutdown began, so a body still on its way must come in before that.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _enter(self, request: web.Request) -> web.Response:
        with self._counted():
            arrival = Arrival(request, self._entry.trusted, self._entry.client_ip_header)
            entrance = self._entrance(request, arrival)
            response = await self._admitted(request, arrival, entrance)
        self._metrics.request(entrance.door if entrance else _NO_DOOR, response.status)
        return response

    def _entrance(self, request: web.Request, arrival: Arrival) -> Entrance | None:
        """Find the door; what caches keep is found by Host alone, which is what caches keep it by."""
        routes = self._entry.routes
        entrance = routes.find(arrival.host, request.path)
        if entrance is None or entrance.door is Door.TAG:
            return routes.find(arrival.header(hdrs.HOST), request.path)
        return entrance

    async def _admitted(self, request: web.Request, arrival: Arrival, entrance: Entrance | None) -> web.Response:
        """Answer a request, or refuse it before its body is read; a page of the site can read either."""
        network = client_network(arrival.client.address)
        is_ours = entrance is not None and _may_send(entrance.site, _page(arrival), secure=arrival.is_secure)
        refused = self._admission.refusal(network, min(arrival.size, BODY))
        if refused:
            await self._turns.mine(network)
            response = refusal(refused.status, refused.why, retry_seconds=refused.retry_seconds)
        else:
            response = await self._held(request, arrival, entrance, network, is_ours=is_ours)
        origin = arrival.header(hdrs.ORIGIN)
        if origin and is_ours and entrance and entrance.door is not Door.TAG:
            allow(response, origin)
        return response

    async def _held(
        self,
        request: web.Request,
        arrival: Arrival,
        entrance: Entrance | None,
        network: ClientNetwork,
        *,
        is_ours: bool,
    ) -> web.Response:
        """Answer while the request holds its room."""
        size = min(arrival.size, BODY)
        self._admission.enter(network, size)
        try:
            return await self._answered(request, arrival, entrance, network, is_ours=is_ours)
        finally:
            self._admission.leave(network, size)

    async def _answered(
        self,
        request: web.Request,
        arrival: Arrival,
        entrance: Entrance | None,
        network: ClientNetwork,
        *,
        is_ours: bool,
    ) -> web.Response:
        if entrance is None:
            return await self._nowhere(request, arrival)
        allowed = _METHODS[entrance.door]
        if request.method not in allowed:
            response = refusal(405, f"method: {request.method[:20]}; accepted: {', '.join(allowed)}")
            response.headers[hdrs.ALLOW] = ", ".join(allowed)
            return response
        try:
            return await self._doors[entrance.door](AdmittedRequest(request, arrival, entrance.site, network, is_ours))
        except web.HTTPRequestEntityTooLarge:
            return refusal(413, f"body: too large; accepted: {BODY} bytes")
        except web.HTTPRequestTimeout:
            return refusal(408, "body: it came too slowly")
        except (OSError, web.RequestPayloadError):
            raise  # the client hung up, or sent no body that can be read: the connection's business
        except Exception as error:  # noqa: BLE001 - the same request would fail again, so no page shall repeat it
            self._faults.report(error, lost="requests are refused")
            return refusal(400, "cannot be read")

    async def _nowhere(self, request: web.Request, arrival: Arrival) -> web.Response:
        host = arrival.header(hdrs.HOST)
        if request.path == "/.well-known/gpc.json" and request.method in _METHODS[Door.TAG]:
            site = site_of(self._entry.sites, host)
            if site is not None and site.gpc != "ignore":
                return web.Response(body=b'{"gpc": true}', content_type=JSON)
        elif self._entry.routes.knows(request.path):
            self._foreign.host(host)
        return refusal(404, "nothing here")

    async def _tag(self, visit: AdmittedRequest) -> web.Response:
        await self._turns.mine(visit.network)
        return script(self._entry.tags[visit.site.name], visit.request)

    async def _collect(self, visit: AdmittedRequest) -> web.Response:
        if not visit.is_ours:
            return self._stranger(visit, "origin")
        if visit.request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers=PREFLIGHT)
        return await self._collect_door.answer(visit)

    async def _image(self, visit: AdmittedRequest) -> web.Response:
        if not visit.is_ours:
            return self._stranger(visit, "referer")
        return await self._image_door.answer(visit)

    async def _choice(self, visit: AdmittedRequest) -> web.Response:
        """A link may come from anywhere; to change something, or to be read by a script, takes a page of the site."""
        request = visit.request
        is_link = request.method == hdrs.METH_GET and not visit.arrival.header(hdrs.ORIGIN)
        if not is_link and not visit.is_ours:
            return self._stranger(visit, "origin")
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers=PREFLIGHT | {hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST"})
        facts = await self._reader.read(visit)
        return await self._choices.answer(request, facts, self._entry.policies[visit.site.name])

    def _stranger(self, visit: AdmittedRequest, what: str) -> web.Response:
        page = _page(visit.arrival)
        if not belongs(visit.site, host_of(page)):
            self._foreign.origin(page, visit.site.name)
        elif page.startswith("http://"):
            self._foreign.insecure(page, visit.site.name)
        return refusal(403, f"{what}: not a page of this site")

    async def _healthz(self, _request: web.Request) -> web.Response:
        why = self._queue.refuses() if self.accepting else "ending"
        return web.Response(status=503, text=f"not accepting: {why}\n") if why else web.Response(text="ok\n")


def _page(arrival: Arrival) -> str:
    return arrival.header(hdrs.ORIGIN) or arrival.header(hdrs.REFERER)


def _may_send(site: Site, page: str, *, secure: bool) -> bool:
    """Tell whether an origin or Referer is a page of the site; ``null`` and other schemes are not.

    A page that came by plain http can be anybody's on the visitor's network, so it may not speak for a site that is
    served by https.
    """
    host = host_of(page)
    is_safe = page.startswith("https://") or (page.startswith("http://") and (not secure or host in _LOOPBACK))
    return is_safe and belongs(site, host)
