"""A request as it arrives, before its body: what its headers say, who asks, and how long its body claims to be."""

from aiohttp import hdrs, web

from proxy.model.request import BrowserRequest
from proxy.rules.limits import BODY
from proxy.rules.request.client_address import PSEUDO_HEADER, Client, Networks, believed_host, client


class Arrival:
    """One request; ``header`` is the name of the one that carries the visitor's address."""

    __slots__ = ("_forwarded", "_headers", "_peer", "_pseudo", "_request", "client", "size")

    def __init__(self, request: web.Request, trusted: Networks, header: str) -> None:
        self._request = request
        self._headers = request.headers
        self._peer = request.remote or ""
        self._forwarded, self._pseudo = self.said(header), self.said(PSEUDO_HEADER)
        self.client: Client = client(self._peer, self._forwarded, trusted, header=header, pseudo=self._pseudo)
        claimed = request.content_length
        self.size = (BODY if request.can_read_body else 0) if claimed is None else claimed
        """Bytes of the body; the most there may be where it does not say."""

    def said(self, name: str) -> str:
        """Return a header: its lines joined by commas, bytes that are no UTF-8 replaced."""
        lines = self._headers.getall(name, None)
        if lines is None:
            return ""
        joined = lines[0] if len(lines) == 1 else ("; " if name == hdrs.COOKIE else ", ").join(lines)
        return joined if joined.isascii() else joined.encode(errors="surrogateescape").decode(errors="replace")

    @property
    def secure(self) -> bool:
        """Tell whether the visitor came by https, as far as the proxy was told."""
        return self._request.secure or (
            self.client.believed and self.said("X-Forwarded-Proto").rpartition(",")[2].strip().lower() == "https"
        )

    def forwarded_host(self, trusted: Networks) -> str:
        """Return the host the visitor asked for, by a trusted proxy's word where there is one."""
        host, forwarded = self.said(hdrs.HOST), self.said("X-Forwarded-Host")
        return believed_host(host, forwarded, self._peer, trusted) if forwarded else host

    def facts(self, body: bytes, *, now: int, entropy: int) -> BrowserRequest:
        """Return what the rules judge."""
        said = self.said
        return BrowserRequest(
            now=now,
            entropy=entropy,
            peer=self._peer,
            host=said(hdrs.HOST),
            secure=self._request.secure,
            origin=said(hdrs.ORIGIN),
            referer=said(hdrs.REFERER),
            cookie=said(hdrs.COOKIE),
            user_agent=said(hdrs.USER_AGENT),
            brands=said("Sec-CH-UA"),
            platform=said("Sec-CH-UA-Platform"),
            gpc=said("Sec-GPC"),
            dnt=said("DNT"),
            forwarded=self._forwarded,
            forwarded_pseudo=self._pseudo,
            forwarded_proto=said("X-Forwarded-Proto"),
            forwarded_host=said("X-Forwarded-Host"),
            body=body,
        )
