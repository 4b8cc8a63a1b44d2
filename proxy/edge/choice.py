"""The address where visitors opt out: JSON for the page's script, a plain page with a button for who follows a link."""

from html import escape

import orjson
from aiohttp import hdrs, web

from proxy.edge.files import static_file
from proxy.model import Facts
from proxy.queue.base import Queue, QueueError
from proxy.rules.choice import Gpc, Standing, choose, standing
from proxy.rules.ingest import problem
from proxy.rules.visitor import Policy

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


class ChoiceDoor:
    """Answers requests whose origin was judged already."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._page = static_file("choice.html").decode()

    async def answer(self, request: web.Request, facts: Facts, policy: Policy) -> web.Response:
        """Say how things stand, after a POST has changed them durably."""
        response = await self._answer(request, facts, policy)
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        response.headers[hdrs.VARY] = f"{hdrs.ACCEPT}, {hdrs.ORIGIN}"
        return response

    async def _answer(self, request: web.Request, facts: Facts, policy: Policy) -> web.Response:
        if request.method != hdrs.METH_POST:
            found = standing(facts, policy)
            return self._shown(found, request) if found else _elsewhere()
        wanted = _wanted(request.content_type, facts.body)
        if wanted is None:
            return _problem(400, 'opted_out: accepted: {"opted_out": true} or {"opted_out": false}')
        found = choose(facts, policy, opted_out=wanted)
        return await self._kept(found, facts, request) if found else _elsewhere()

    async def _kept(self, found: Standing, facts: Facts, request: web.Request) -> web.Response:
        """Answer only after the people of an opt-out are marked."""
        try:
            if found.people:
                await self._queue.opt_out(found.people, facts.now)
        except QueueError:
            response = _problem(503, "cannot be stored now; try again")
            response.headers[hdrs.RETRY_AFTER] = "5"
            return response
        if request.content_type == _FORM:
            # The page again, by GET, so that a reload repeats nothing.
            response = web.Response(status=303, headers={hdrs.LOCATION: request.path.rpartition("/")[2]})
        else:
            response = _json(found)
        for cookie in found.cookies:
            response.headers.add(hdrs.SET_COOKIE, cookie)
        return response

    def _shown(self, found: Standing, request: web.Request) -> web.Response:
        if "text/html" not in request.headers.get(hdrs.ACCEPT, ""):
            return _json(found)
        # Scripts cannot forge this header, so none reads the id, which the cookie keeps from them.
        alone = request.headers.get("Sec-Fetch-Dest") == "document"
        text = self._page.format(
            state="You have opted out." if found.opted_out else "You have not opted out.",
            gpc=_GPC_TEXTS[found.gpc],
            value=str(not found.opted_out).lower(),
            button="Take my opt-out back" if found.opted_out else "Opt out",
            visitor=f"<p>Your visitor number: <code>{escape(found.visitor)}</code></p>"
            if alone and found.visitor
            else "",
        )
        return web.Response(text=text, content_type="text/html", charset="utf-8", headers=_PAGE_HEADERS)


_GPC_TEXTS = {
    Gpc.HONOURED: "<p><strong>Opt-out request honored:</strong> your browser sends Global Privacy Control.</p>",
    Gpc.IGNORED: "<p>Your browser sends Global Privacy Control; this site does not act on it.</p>",
    Gpc.ABSENT: "",
}


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


def _json(found: Standing) -> web.Response:
    said = {"opted_out": found.opted_out, "gpc": found.gpc, "consent": found.consent}
    return web.Response(body=orjson.dumps(said), content_type="application/json")


def _elsewhere() -> web.Response:
    return _problem(403, "origin: of another site than this address, so the browser would keep no choice")


def _problem(status: int, why: str) -> web.Response:
    return web.Response(status=status, body=problem(why), content_type="application/json")
