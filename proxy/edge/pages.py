"""Which page sent a request: only a site's own pages may send its events; others that try are reported to the owner."""

from proxy.config.schema import Site
from proxy.edge.answers import refusal
from proxy.edge.arrival import AdmittedRequest, Arrival
from proxy.edge.exchange import HttpAnswer
from proxy.edge.foreign import ForeignNames
from proxy.rules.request.sites import belongs, host_of

# Browsers trust pages of the machine itself as they trust https (W3C, Secure Contexts).
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def is_page_of(site: Site, arrival: Arrival) -> bool:
    """Tell whether the origin or Referer of a request is a page of the site; ``null`` and other schemes are not.

    A page that came by plain http can be anybody's on the visitor's network, so it may not speak for a site that is
    served by https.
    """
    page = _page(arrival)
    host = host_of(page)
    may_be_http = not arrival.is_secure or host in _LOOPBACK
    is_safe = page.startswith("https://") or (page.startswith("http://") and may_be_http)
    return is_safe and belongs(site, host)


class StrangerRefusal:
    """Refuses requests of pages that are not the site's."""

    def __init__(self, foreign: ForeignNames) -> None:
        self._foreign = foreign

    def answer(self, admitted: AdmittedRequest, header: str) -> HttpAnswer:
        """Note the page, and return a 403 that names the header in which a page of the site would stand."""
        page, site = _page(admitted.arrival), admitted.site
        if not belongs(site, host_of(page)):
            self._foreign.note_origin(page, site)
        elif page.startswith("http://"):
            self._foreign.note_insecure_origin(page, site.name)
        return refusal(403, f"{header}: not a page of this site")


def _page(arrival: Arrival) -> str:
    return arrival.headers.get("origin", "") or arrival.headers.get("referer", "")
