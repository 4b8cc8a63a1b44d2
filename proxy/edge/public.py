"""The public listener: tag, collect, image, health. Facts in, an outcome out; no rule lives here."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from proxy.edge.choice import ChoiceDoor
from proxy.edge.conditions import Conditions
from proxy.edge.files import Asset
from proxy.edge.metrics import Metrics
from proxy.model import Facts, LedgerRow, Outcome, Record, Status
from proxy.queue.base import Queue, QueueError, Stored, dropped_row
from proxy.rules.address import PSEUDO_HEADER, Networks, believed_host
from proxy.rules.faults import fault
from proxy.rules.identity import host_of
from proxy.rules.ingest import belongs, ingest, ingest_image, problem
from proxy.rules.limits import BODY
from proxy.rules.routing import Door, Entrance, Routes, site_of
from proxy.rules.visitor import Policy
from proxy.settings import Site

log = logging.getLogger(__name__)

_GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
_RETRY_SECONDS = "5"
# What a client that ends its request early, or within its own framing, makes of a read.
_HANG_UPS = (OSError, web.RequestPayloadError, HttpProcessingError)
# How long a fault of ours stays on the board after it happened last.
_FAULT_MS = 60 * 60 * 1000
_METHODS = {
    Door.TAG: (hdrs.METH_GET, hdrs.METH_HEAD),
    Door.COLLECT: (hdrs.METH_POST, hdrs.METH_OPTIONS),
    Door.IMAGE: (hdrs.METH_GET,),
    Door.CHOICE: (hdrs.METH_GET, hdrs.METH_POST, hdrs.METH_OPTIONS),
}
_JSON = "application/json"


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

    def __init__(  # noqa: PLR0913 - its collaborators, clock and chance
        self,
        entry: Entry,
        *,
        queue: Queue,
        metrics: Metrics,
        conditions: Conditions,
        wake: Callable[[set[str]], None],
        now: Callable[[], int],
        entropy: Callable[[], int],
    ) -> None:
        self._entry = entry
        self._queue = queue
        self._metrics = metrics
        self._conditions = conditions
        self._wake = wake
        self._now = now
        self._entropy = entropy
        self._doors: dict[Door, Callable[[web.Request, Site], Awaitable[web.Response]]] = {
            Door.TAG: self._tag,
            Door.COLLECT: self._collect,
            Door.IMAGE: self._image,
            Door.CHOICE: self._choice,
        }
        self._choices = ChoiceDoor(queue)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.accepting = True

    def app(self) -> web.Application:
        """Return the application; it holds no lifetime of its own."""
        app = web.Application(client_max_size=BODY)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/.well-known/gpc.json", self._gpc)
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
        entrance = self._entry.routes.find(self._host(request), request.path)
        if entrance is None:
            return _refusal(404, "nothing here")
        with self._counted():
            response = await self._answered(request, entrance)
        self._metrics.request(entrance.door, response.status)
        return response

    def _host(self, request: web.Request) -> str:
        header = _header_reader(request)
        host, forwarded = header(hdrs.HOST), header("X-Forwarded-Host")
        return believed_host(host, forwarded, request.remote or "", self._entry.trusted) if forwarded else host

    async def _answered(self, request: web.Request, entrance: Entrance) -> web.Response:
        """An error that nobody foresaw has an answer too, one that the page may read and the tag gives up on."""
        try:
            return await self._answer(request, entrance)
        except (web.HTTPException, *_HANG_UPS):
            raise
        except Exception as error:  # noqa: BLE001 - reported without a word of the request
            self._report((fault(error),))
            return self._readable(request, entrance.site, _refusal(400, "cannot be read"))

    def _report(self, faults: Sequence[str]) -> None:
        self._metrics.faults(faults)
        for place in dict.fromkeys(faults):
            self._conditions.report("fault", place, "an error of ours; please tell its place", lasts_ms=_FAULT_MS)

    def _readable(self, request: web.Request, site: Site, response: web.Response) -> web.Response:
        origin = request.headers.get(hdrs.ORIGIN, "")
        if origin and _may_send(site, origin):
            _allow(response, origin)
        return response

    async def _answer(self, request: web.Request, entrance: Entrance) -> web.Response:
        allowed = _METHODS[entrance.door]
        if request.method not in allowed:
            response = _refusal(405, f"method: {request.method[:20]}; accepted: {', '.join(allowed)}")
            response.headers[hdrs.ALLOW] = ", ".join(allowed)
            return response
        return await self._doors[entrance.door](request, entrance.site)

    async def _tag(self, request: web.Request, site: Site) -> web.Response:
        asset = self._entry.tags[site.name]
        coding, body = asset.choose(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
        etag = f'"{asset.etag}{"-" + coding if coding else ""}"'
        headers = {
            hdrs.CONTENT_TYPE: "text/javascript; charset=utf-8",
            hdrs.CACHE_CONTROL: "public, max-age=3600",
            hdrs.VARY: hdrs.ACCEPT_ENCODING,
            hdrs.ETAG: etag,
            hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "X-Content-Type-Options": "nosniff",
        }
        if etag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
            return web.Response(status=304, headers=headers)
        if coding:
            headers[hdrs.CONTENT_ENCODING] = coding
        return web.Response(body=body, headers=headers)

    async def _collect(self, request: web.Request, site: Site) -> web.Response:
        origin = request.headers.get(hdrs.ORIGIN, "")
        if not _may_send(site, origin or request.headers.get(hdrs.REFERER, "")):
            return _refusal(403, "origin: not a page of this site")
        response = await self._take(request, site)
        if origin:
            _allow(response, origin)
        return response

    async def _take(self, request: web.Request, site: Site) -> web.Response:
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers=_PREFLIGHT)
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            return _refusal(415, "content-encoding: accepted: identity")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, f"body: too large; accepted: {BODY} bytes")
        outcome = ingest(self._facts(request, body), self._entry.policies[site.name])
        kind = _JSON if outcome.body else None
        return await self._store(outcome, web.Response(status=outcome.status, body=outcome.body, content_type=kind))

    async def _image(self, request: web.Request, site: Site) -> web.Response:
        if not _may_send(site, request.headers.get(hdrs.REFERER, "")):
            return _refusal(403, "referer: not a page of this site")
        outcome = ingest_image(self._facts(request, b""), self._entry.policies[site.name])
        content = web.Response(body=_GIF, content_type="image/gif")
        return await self._store(outcome, _refusal(400, "cannot be read") if outcome.faults else content)

    async def _choice(self, request: web.Request, site: Site) -> web.Response:
        """A link may come from anywhere; to change something, or to be read by a script, takes a page of the site."""
        origin = request.headers.get(hdrs.ORIGIN, "")
        is_link = request.method == hdrs.METH_GET and not origin
        if not is_link and not _may_send(site, origin or request.headers.get(hdrs.REFERER, "")):
            return _refusal(403, "origin: not a page of this site")
        response = await self._choose(request, site)
        if origin:
            _allow(response, origin)
        return response

    async def _choose(self, request: web.Request, site: Site) -> web.Response:
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers=_PREFLIGHT | {hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST"})
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, f"body: too large; accepted: {BODY} bytes")
        return await self._choices.answer(request, self._facts(request, body), self._entry.policies[site.name])

    async def _store(self, outcome: Outcome, content: web.Response) -> web.Response:
        """Answer only after the records are durable."""
        try:
            if outcome.opted_out:
                await self._queue.opt_out(outcome.opted_out, self._now())
            stored = await self._queue.append(outcome.records) if outcome.records else Stored()
        except QueueError as error:
            log.warning("an append failed: %s", error)
            return _not_stored()
        except Exception as error:  # noqa: BLE001 - not the body's fault, so the tag shall try again
            self._report((fault(error),))
            return _not_stored()
        try:
            self._after(outcome, stored)
        except Exception as error:  # noqa: BLE001 - what is stored was stored, and the answer says so
            self._report((fault(error),))
        for cookie in outcome.cookies:
            content.headers.add(hdrs.SET_COOKIE, cookie)
        content.headers[hdrs.CACHE_CONTROL] = "no-store"
        return content

    def _after(self, outcome: Outcome, stored: Stored) -> None:
        self._wake({record.pixel for record in outcome.records})
        now = self._now()
        duplicates = tuple(_duplicate_row(record, now) for record in stored.duplicates)
        refused = tuple(dropped_row(record, reason, now) for record, reason in stored.refused)
        rows = (*outcome.dropped, *duplicates, *refused)
        if rows or outcome.fates:
            self._queue.note(rows, outcome.fates, outcome.pixels)
        self._metrics.outcome(outcome, stored)
        self._report(outcome.faults)
        if outcome.misdirected:
            self._conditions.report("untrusted_forwarding", detail="is server.trusted_proxies complete?")

    def _facts(self, request: web.Request, body: bytes) -> Facts:
        header = _header_reader(request)
        return Facts(
            now=self._now(),
            entropy=self._entropy(),
            peer=request.remote or "",
            host=header(hdrs.HOST),
            secure=request.secure,
            origin=header(hdrs.ORIGIN),
            referer=header(hdrs.REFERER),
            cookie=header(hdrs.COOKIE),
            user_agent=header(hdrs.USER_AGENT),
            brands=header("Sec-CH-UA"),
            platform=header("Sec-CH-UA-Platform"),
            gpc=header("Sec-GPC"),
            dnt=header("DNT"),
            forwarded=header(self._entry.client_ip_header),
            forwarded_pseudo=header(PSEUDO_HEADER),
            forwarded_proto=header("X-Forwarded-Proto"),
            forwarded_host=header("X-Forwarded-Host"),
            body=body,
        )

    async def _healthz(self, _request: web.Request) -> web.Response:
        why = self._queue.refuses() if self.accepting else "ending"
        return web.Response(status=503, text=f"not accepting: {why}\n") if why else web.Response(text="ok\n")

    async def _gpc(self, request: web.Request) -> web.Response:
        site = site_of(self._entry.sites, self._host(request))
        if site is None or site.gpc == "ignore":
            return _refusal(404, "nothing here")
        return web.Response(body=b'{"gpc": true}', content_type=_JSON)


_PREFLIGHT = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: hdrs.METH_POST,
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: hdrs.CONTENT_TYPE,
    hdrs.ACCESS_CONTROL_MAX_AGE: "7200",
}


def _header_reader(request: web.Request) -> Callable[[str], str]:
    """Return a reader of headers: lines joined by commas, bytes that are no UTF-8 replaced."""

    def read(name: str) -> str:
        joined = ("; " if name == hdrs.COOKIE else ", ").join(request.headers.getall(name, ()))
        return joined if joined.isascii() else joined.encode(errors="surrogateescape").decode(errors="replace")

    return read


def _may_send(site: Site, page: str) -> bool:
    """Tell whether an origin or Referer is a page of the site; ``null`` and other schemes are not."""
    return page.startswith(("https://", "http://")) and belongs(site, host_of(page))


def _allow(response: web.Response, origin: str) -> None:
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = hdrs.RETRY_AFTER
    response.headers.setdefault(hdrs.VARY, hdrs.ORIGIN)


def _refusal(status: int, why: str) -> web.Response:
    return web.Response(status=status, body=problem(why), content_type=_JSON)


def _not_stored() -> web.Response:
    response = _refusal(503, "cannot be stored now; try again")
    response.headers[hdrs.RETRY_AFTER] = _RETRY_SECONDS
    return response


def _duplicate_row(record: Record, now: int) -> LedgerRow:
    identity = (record.pixel, record.name, record.id, record.time_s)
    return LedgerRow(now, *identity, Status.DUPLICATE, "", record.fate, findings=record.findings)
