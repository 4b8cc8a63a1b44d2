"""The address where visitors opt out: JSON for the page's script, a plain page with a button for who follows a link."""

from dataclasses import replace

import orjson
from aiohttp import hdrs, web

from proxy.edge.answers import problem
from proxy.model.request import BrowserRequest
from proxy.model.suppression import SuppressionKind
from proxy.queue.contract import Intake, QueueError
from proxy.rules.permission.opt_out import Gpc, OptOutStatus, choose, standing
from proxy.rules.policy import Policy
from proxy.static_files import static_file
from proxy.telemetry.metrics import Metrics

_FORM = "application/x-www-form-urlencoded"
_WORDS = {b"opted_out=true": True, b"opted_out=false": False}
# The page may not be framed, or a foreign one could lay the button under a visitor's click.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class OptOutDoor:
    """Answers requests whose origin was judged already."""

    def __init__(self, queue: Intake, metrics: Metrics) -> None:
        self._queue = queue
        self._metrics = metrics
        self._page = static_file("choice.html").decode()

    async def answer(self, request: web.Request, facts: BrowserRequest, policy: Policy) -> web.Response:
        """Say how things stand, after a POST has changed them durably."""
        response = await self._answer(request, facts, policy)
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        response.headers[hdrs.VARY] = f"{hdrs.ACCEPT}, {hdrs.ORIGIN}"
        return response

    async def _answer(self, request: web.Request, facts: BrowserRequest, policy: Policy) -> web.Response:
        try:
            if request.method == hdrs.METH_POST:
                return await self._change(request, facts, policy)
            found = standing(facts, policy)
            return self._shown(await self._as_stored(found), request) if found else _elsewhere()
        except QueueError:
            response = _problem(503, "cannot be stored now; try again")
            response.headers[hdrs.RETRY_AFTER] = "5"
            return response

    async def _as_stored(self, found: OptOutStatus) -> OptOutStatus:
        """Correct a cookie that an answer under way at the opt-out has overwritten: the stored word counts."""
        stored = not found.opted_out and SuppressionKind.OPT_OUT in await self._queue.suppressed(found.person_digests)
        return replace(found, opted_out=True) if stored else found

    async def _change(self, request: web.Request, facts: BrowserRequest, policy: Policy) -> web.Response:
        wanted = _wanted(request.content_type, facts.body)
        if wanted is None:
            return _problem(400, 'opted_out: accepted: {"opted_out": true} or {"opted_out": false}')
        found = choose(facts, policy, opted_out=wanted)
        if found is None:
            return _elsewhere()
        await self._store(found, facts.now)
        return self._confirmed(found, request)

    async def _store(self, found: OptOutStatus, now: int) -> None:
        kind = SuppressionKind.OPT_OUT
        if not found.opted_out:
            self._metrics.lifted(await self._queue.lift(found.person_digests, [kind], now))
        elif found.person_digests:
            await self._queue.suppress(found.person_digests[:1], kind, now)
            self._metrics.suppressed(kind)

    def _confirmed(self, found: OptOutStatus, request: web.Request) -> web.Response:
        if request.content_type == _FORM:
            # The page again, by GET, so that a reload repeats nothing.
            response = web.Response(status=303, headers={hdrs.LOCATION: request.path.rpartition("/")[2]})
        else:
            response = _json(found)
        for cookie in found.cookies:
            response.headers.add(hdrs.SET_COOKIE, cookie)
        return response

    def _shown(self, found: OptOutStatus, request: web.Request) -> web.Response:
        if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
            return _json(found)
        text = self._page.format(
            state="You have opted out." if found.opted_out else "You have not opted out.",
            gpc=_GPC_TEXTS[found.gpc],
            value=str(not found.opted_out).lower(),
            button="Take my opt-out back" if found.opted_out else "Opt out",
            reference=_REFERENCE.format(found.reference) if found.reference else "",
        )
        return web.Response(text=text, content_type="text/html", charset="utf-8", headers=_PAGE_HEADERS)


_GPC_TEXTS = {
    Gpc.HONOURED: "<p><strong>Opt-out request honored:</strong> your browser sends Global Privacy Control.</p>",
    Gpc.IGNORED: "<p>Your browser sends Global Privacy Control; this site does not act on it.</p>",
    Gpc.ABSENT: "",
}


_REFERENCE = (
    "<p>To have what waits here about this browser erased, send this reference to whoever runs this site. "
    "It says nothing about you, and is another one each time: <code>{}</code></p>"
)


def _wanted(kind: str, body: bytes) -> bool | None:
    """Read a choice; None if there is none."""
    if kind == _FORM:
        return _WORDS.get(body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    wanted = document.get("opted_out") if isinstance(document, dict) else None
    return wanted if isinstance(wanted, bool) else None


def _json(found: OptOutStatus) -> web.Response:
    said = {"opted_out": found.opted_out, "gpc": found.gpc, "consent": found.consent}
    return web.Response(body=orjson.dumps(said), content_type="application/json")


def _elsewhere() -> web.Response:
    return _problem(403, "origin: of another site than this address, so the browser would keep no choice")


def _problem(status: int, why: str) -> web.Response:
    return web.Response(status=status, body=problem(why), content_type="application/json")
