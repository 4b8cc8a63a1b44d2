"""The doctor's door: tells a client that has the secret what the proxy sees of its request; others find no door."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from proxy.config.schema import Site
from proxy.edge.arrival import Arrival
from proxy.edge.exchange import BodyTooLargeError, BodyTooSlowError, HttpAnswer, HttpRequest
from proxy.edge.tag.build import tag_of
from proxy.model.probe import COOKIE_SECONDS, MOST_BYTES, ProbeKeys
from proxy.rules.request.cookies import cookies_of, set_cookie
from proxy.rules.request.sites import cookie_scope_between, host_of

_TEXT = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
_SHOWN = 200
"""Characters of a header that an answer repeats."""


class ProbeDoor:
    """Answers the doctor."""

    def __init__(
        self, keys: ProbeKeys, prefixes: Iterable[str], sites: Sequence[Site], *, now: Callable[[], int], version: str
    ) -> None:
        """Open the door.

        Args:
            keys: The keys of this installation.
            prefixes: The public paths of all sites.
            sites: The sites; an answer holds the ETag of the tag of the one that is asked about.
            now: Server clock in milliseconds.
            version: The version of this proxy.
        """
        self._keys = keys
        self._paths = frozenset(f"{prefix}/{keys.leaf}" for prefix in prefixes)
        self._now = now
        self._version = version
        self._tags: Mapping[str, str] = {site.name: tag_of(site).etag for site in sites}

    def leads_to(self, request: HttpRequest) -> bool:
        """Tell whether a request asks for this resource."""
        return request.path in self._paths

    async def answer(self, arrival: Arrival, client_header: str) -> HttpAnswer | None:
        """Answer a valid question; return None for any other request, which then gets the answer of an unknown path.

        Args:
            arrival: The head of the request.
            client_header: The name of the header that carries the visitor's address.
        """
        request = arrival.request
        if request.method != "POST" or not 0 < request.size <= MOST_BYTES:
            return None
        try:
            asked = self._keys.read_question(await request.body(), now=self._now())
        except (BodyTooLargeError, BodyTooSlowError):
            return None
        if asked is None:
            return None
        nonce, site = asked
        scope = cookie_scope_between(host_of(arrival.host), host_of(arrival.headers.get("origin", "")), secure=True)
        cookie = set_cookie(self._keys.cookie, nonce.hex(), scope, seconds=COOKIE_SECONDS, http_only=True)
        seen = {**self._seen(arrival, client_header), "tag": self._tags.get(site, ""), "set_cookie": cookie}
        return HttpAnswer(200, self._keys.answer(nonce, seen), dict(_TEXT), (cookie,))

    def _seen(self, arrival: Arrival, client_header: str) -> dict[str, object]:
        headers, client = arrival.headers, arrival.client
        return {
            "version": self._version,
            "address": client.address,
            "believed": client.believed,
            "peer": arrival.request.peer,
            "forwarded": headers.get(client_header, "")[:_SHOWN],
            "host": arrival.host[:_SHOWN],
            "secure": arrival.is_secure,
            "cookie": cookies_of(headers.get("cookie", "")).get(self._keys.cookie, "")[:_SHOWN],
        }
