"""The opt-out door: JSON for the page's script, a plain page with a button for a visitor who follows a link."""

from collections.abc import Mapping
from dataclasses import replace

import orjson

from proxy.edge.answers import JSON, refusal
from proxy.edge.arrival import AdmittedRequest
from proxy.edge.collect import RequestReader
from proxy.edge.exchange import HttpAnswer, HttpRequest
from proxy.model.request import BrowserRequest
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Intake, QueueError
from proxy.rules.permission.opt_out import Gpc, OptOutStatus, choose, opt_out_status
from proxy.rules.policy import Policy
from proxy.static_files import static_file
from proxy.telemetry.metrics import Metrics

_RETRY_SECONDS = 5
_FORM = "application/x-www-form-urlencoded"
_FORM_BODIES = {b"opted_out=true": True, b"opted_out=false": False}
# The page may not be framed, or a foreign page could place the button where the visitor clicks (clickjacking).
_PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class OptOutDoor:
    """Answers visitors who want to know or change whether they have opted out."""

    def __init__(
        self, policies: Mapping[str, Policy], *, reader: RequestReader, queue: Intake, metrics: Metrics
    ) -> None:
        """Open the door.

        Args:
            policies: By the name of the site.
            reader: Reads requests.
            queue: Makes opt-outs durable.
            metrics: Counts opt-outs.
        """
        self._policies = policies
        self._reader = reader
        self._queue = queue
        self._metrics = metrics
        self._page = static_file("opt-out.html").decode()

    async def answer(self, admitted: AdmittedRequest) -> HttpAnswer:
        """Answer with the visitor's status, after a POST has changed it durably."""
        policy = self._policies[admitted.site.name]
        answer = await self._answer(admitted.arrival.request, await self._reader.read(admitted), policy)
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Vary"] = "Accept, Origin"
        return answer

    async def _answer(self, http: HttpRequest, request: BrowserRequest, policy: Policy) -> HttpAnswer:
        try:
            if http.method == "POST":
                return await self._change(http, request, policy)
            status = opt_out_status(request, policy)
            return self._page_or_json(await self._as_stored(status), http) if status else _other_site_refusal()
        except QueueError:
            return refusal(503, "cannot be stored now; try again", retry_seconds=_RETRY_SECONDS)

    async def _as_stored(self, status: OptOutStatus) -> OptOutStatus:
        """Return the status, opted out if the queue says so, even when a later answer overwrote the cookie."""
        if status.opted_out or SuppressionKind.OPT_OUT not in await self._queue.suppressed(status.person_digests):
            return status
        return replace(status, opted_out=True)

    async def _change(self, http: HttpRequest, request: BrowserRequest, policy: Policy) -> HttpAnswer:
        opted_out = _opted_out(_media_type(http), request.body)
        if opted_out is None:
            return refusal(400, 'opted_out: accepted: {"opted_out": true} or {"opted_out": false}')
        status = choose(request, policy, opted_out=opted_out)
        if status is None:
            return _other_site_refusal()
        await self._store(status, request.now)
        return _changed(status, http)

    async def _store(self, status: OptOutStatus, now: int) -> None:
        kind = SuppressionKind.OPT_OUT
        if not status.opted_out:
            self._metrics.lifted(await self._queue.lift(status.person_digests, [kind], now))
        elif status.person_digests:
            await self._queue.suppress(status.person_digests[:1], kind, now)
            self._metrics.suppressed(kind)

    def _page_or_json(self, status: OptOutStatus, http: HttpRequest) -> HttpAnswer:
        if "text/html" not in http.headers.get("accept", ""):
            return _json(status)
        text = self._page.format(
            state="You have opted out." if status.opted_out else "You have not opted out.",
            gpc=_GPC_TEXTS[status.gpc],
            value=str(not status.opted_out).lower(),
            button="Take my opt-out back" if status.opted_out else "Opt out",
            reference=_REFERENCE.format(status.reference) if status.reference else "",
        )
        return HttpAnswer(200, text.encode(), dict(_PAGE_HEADERS))


_GPC_TEXTS = {
    Gpc.HONOURED: "<p><strong>Opt-out request honored:</strong> your browser sends Global Privacy Control.</p>",
    Gpc.IGNORED: "<p>Your browser sends Global Privacy Control; this site does not act on it.</p>",
    Gpc.ABSENT: "",
}


_REFERENCE = (
    "<p>To have what waits here about this browser erased, send this reference to whoever runs this site. "
    "It says nothing about you, and is another one each time: <code>{}</code></p>"
)


def _changed(status: OptOutStatus, http: HttpRequest) -> HttpAnswer:
    if _media_type(http) == _FORM:
        # The page again, by GET, so that a reload repeats nothing.
        answer = HttpAnswer(303, headers={"Location": http.path.rpartition("/")[2]})
    else:
        answer = _json(status)
    answer.cookies = status.cookies
    return answer


def _media_type(http: HttpRequest) -> str:
    return http.headers.get("content-type", "").partition(";")[0].strip().lower()


def _opted_out(media_type: str, body: bytes) -> bool | None:
    """Return what a visitor chose; None when the body says neither."""
    if media_type == _FORM:
        return _FORM_BODIES.get(body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    opted_out = document.get("opted_out") if isinstance(document, dict) else None
    return opted_out if isinstance(opted_out, bool) else None


def _json(status: OptOutStatus) -> HttpAnswer:
    body = orjson.dumps({"opted_out": status.opted_out, "gpc": status.gpc, "consent": status.consent})
    return HttpAnswer(200, body, dict(JSON))


def _other_site_refusal() -> HttpAnswer:
    return refusal(403, "origin: of another site than this address, so the browser would keep no choice")
