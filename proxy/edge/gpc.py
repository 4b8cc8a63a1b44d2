"""``/.well-known/gpc.json``: says that a site honours Global Privacy Control (W3C, Global Privacy Control)."""

from collections.abc import Sequence

from proxy.config.schema import Site
from proxy.edge.answers import JSON
from proxy.edge.exchange import HttpAnswer, HttpRequest
from proxy.rules.request.routes import site_of

_PATH = "/.well-known/gpc.json"


class GpcDoor:
    """Answers for the site whose host name was asked for, if that site honours Global Privacy Control."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = sites

    def leads_to(self, request: HttpRequest) -> bool:
        """Tell whether a request asks for this resource."""
        return request.path == _PATH and request.method in {"GET", "HEAD"}

    def answer(self, host: str) -> HttpAnswer | None:
        """Return the resource for the site of a host; None when no site has the host, or its site ignores GPC."""
        site = site_of(self._sites, host)
        if site is None or site.gpc == "ignore":
            return None
        return HttpAnswer(200, b'{"gpc": true}', dict(JSON))
