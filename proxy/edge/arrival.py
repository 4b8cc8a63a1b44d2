"""A request as it arrives, before its body: what its headers say, who asks, and how long its body claims to be."""

from functools import cached_property

from aiohttp import hdrs, web

from proxy.model.request import BrowserRequest, Client
from proxy.rules.limits import BODY
from proxy.rules.request.client_address import PSEUDO_HEADER, Networks, came_by_https, client_of, host_asked_for


class Arrival:
    """The head of one request. Who asks is found out at once, the host and the scheme when they are first needed."""

    def __init__(self, request: web.Request, trusted: Networks, header: str) -> None:
        """Read a head.

        Args:
            request: The request; its body stays unread.
            trusted: The proxies whose forwarding header is believed.
            header: The name of the header that carries the visitor's address.
        """
        self._request = request
        self._headers = request.headers
        peer, forwarded, pseudo = request.remote or "", self.header(header), self.header(PSEUDO_HEADER)
        self.client: Client = client_of(peer, forwarded, trusted, header=header, pseudo=pseudo)
        claimed = request.content_length
        self.size = (BODY if request.can_read_body else 0) if claimed is None else claimed
        """Bytes of the body; the most there may be where it does not say."""

    def header(self, name: str) -> str:
        """Return a header: its lines joined by commas, bytes that are no UTF-8 replaced; "" when it is missing."""
        lines = self._headers.getall(name, None)
        if lines is None:
            return ""
        joined = lines[0] if len(lines) == 1 else ("; " if name == hdrs.COOKIE else ", ").join(lines)
        return joined if joined.isascii() else joined.encode(errors="surrogateescape").decode(errors="replace")

    @cached_property
    def host(self) -> str:
        """The host the visitor asked for, by a trusted proxy's word where there is one."""
        host, forwarded = self.header(hdrs.HOST), self.header("X-Forwarded-Host")
        return host_asked_for(host, forwarded, self.client) if forwarded else host

    @cached_property
    def is_secure(self) -> bool:
        """Whether the visitor came by https, as far as the proxy was told."""
        forwarded = self.header("X-Forwarded-Proto")
        return came_by_https(self._request.secure, forwarded, self.client) if forwarded else self._request.secure

    def browser_request(self, body: bytes, *, now: int, entropy: int) -> BrowserRequest:
        """Return what the rules judge.

        Args:
            body: All of it.
            now: Server clock in milliseconds.
            entropy: 128 random bits.
        """
        header = self.header
        return BrowserRequest(
            now=now,
            entropy=entropy,
            client=self.client,
            host=self.host,
            secure=self.is_secure,
            origin=header(hdrs.ORIGIN),
            referer=header(hdrs.REFERER),
            cookie=header(hdrs.COOKIE),
            user_agent=header(hdrs.USER_AGENT),
            brands=header("Sec-CH-UA"),
            platform=header("Sec-CH-UA-Platform"),
            gpc=header("Sec-GPC"),
            dnt=header("DNT"),
            body=body,
        )
