"""The door of an install-check link: it gives the owner's browser a cookie and sends it on to the owner's page.

A request without a valid link gets the answer of an unknown path.
"""

import base64
import hashlib
from collections.abc import Callable
from html import escape

from proxy.edge.arrival import Arrival
from proxy.edge.exchange import HttpAnswer
from proxy.rules.permission.install_check import SHOWN_MS, CheckedPage, InstallChecks
from proxy.rules.request.routes import Door, Routes
from proxy.static_files import static_file

_NO_TRACE = {
    "Cache-Control": "private, no-store",
    # The next page must not learn where its visitor comes from, and no search engine may list the link.
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
}


class InstallCheckDoor:
    """Answers the owner's browser, under the path of the site whose tag is checked."""

    def __init__(self, checks: InstallChecks, routes: Routes, now: Callable[[], int]) -> None:
        """Read the page that starts a check.

        Args:
            checks: Verify the signatures of links.
            routes: Find the tag whose path a link shares.
            now: Server clock in milliseconds.
        """
        self._checks = checks
        self._routes = routes
        self._now = now
        page = static_file("install-check.html").decode()
        script = page.partition("<script>")[2].partition("</script>")[0]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        self._page = page
        self._policy = f"default-src 'none'; script-src 'sha256-{digest}'; connect-src 'self'; frame-ancestors 'none'"

    def answer(self, arrival: Arrival) -> HttpAnswer | None:
        """Answer a request that opens a signed link, or that ends a check; return None for any other."""
        path, _, text = arrival.request.path.rpartition("/")
        match arrival.request.method:
            case "GET" if found := self._checks.verify_link(text, self._now()):
                return self._opened(arrival, path, found)
            case "POST" if site := self._checks.verify_end(text, self._now()):
                return self._ended(arrival, path) if self._tag(arrival, path, site) else None
        return None

    def _opened(self, arrival: Arrival, path: str, found: CheckedPage) -> HttpAnswer | None:
        tag = self._tag(arrival, path, found.site)
        if not tag:
            return None
        body = self._page.replace("{tag}", escape(tag)).replace("{page}", escape(found.page))
        headers = {**_NO_TRACE, "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": self._policy}
        cookie = self._cookie(arrival, path, self._checks.cookie(found.site, self._now()), SHOWN_MS // 1000)
        return HttpAnswer(200, body.encode(), headers, (cookie,))

    def _ended(self, arrival: Arrival, path: str) -> HttpAnswer:
        return HttpAnswer(204, headers=dict(_NO_TRACE), cookies=(self._cookie(arrival, path, "", 0),))

    def _tag(self, arrival: Arrival, path: str, site: str) -> str:
        """Return the path of the site's tag below the directory ``path``; empty when there is none."""
        host = arrival.headers.get("host", "")
        for tag in self._routes.paths(Door.TAG):
            entrance = self._routes.find(host, tag) if tag.rpartition("/")[0] == path else None
            if entrance and entrance.site.name == site:
                return tag
        return ""

    def _cookie(self, arrival: Arrival, path: str, value: str, seconds: int) -> str:
        secure = "; Secure" if arrival.is_secure else ""
        return f"{self._checks.cookie_name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
