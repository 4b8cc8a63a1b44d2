"""Asks public addresses as a visitor's browser would, and never raises for what the network does."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.doctor.web.network_access import NetworkAccess, own_addresses

AGENT = "Mozilla/5.0 (compatible; capi-proxy check)"
_MOST_BYTES = 1 << 20
"""About so much is read of an answer; the rest of a longer page is not looked at."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """An HTTP answer."""

    url: str
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def kind(self) -> str:
        """The media type, in lower case and without its parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def redirect(self) -> str:
        """The address that it redirects to; empty when it does not redirect."""
        location = self.headers.get("Location", "") if self.status in _REDIRECTS else ""
        try:
            return urljoin(self.url, location) if location else ""
        except ValueError:
            return ""

    @property
    def redirect_without_query(self) -> str:
        """The address that it redirects to, without its query: that can hold a secret which must not be shown."""
        return without_query(self.redirect)


@dataclass(frozen=True, slots=True)
class Unreached:
    """An address that gave no answer."""

    url: str
    why: str


class Visitor:
    """Asks one address after another; cookies are neither kept nor sent."""

    def __init__(self, ways: NetworkAccess, session: aiohttp.ClientSession) -> None:
        self.ways = ways
        self._session = session

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> WebAnswer | Unreached:
        """Ask for an address, without following a redirect."""
        return await self._ask("GET", url, headers or {}, b"")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> WebAnswer | Unreached:
        """Post plain text, as the tag does.

        Args:
            url: Where to.
            body: The text.
            headers: Further headers.
        """
        return await self._ask("POST", url, {"Content-Type": "text/plain;charset=UTF-8", **headers}, body)

    async def own_addresses(self, url: str) -> frozenset[str]:
        """Return the addresses of this machine that a server at this address would see it come from."""
        parts = urlsplit(url)
        return own_addresses(await self.ways.endpoints(parts.hostname or "", port_of(url)))

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> WebAnswer | Unreached:
        try:
            async with self._session.request(
                method, url, data=body or None, headers={"User-Agent": AGENT, **headers}, allow_redirects=False
            ) as response:
                read = await _read(response)
                return WebAnswer(url, response.status, CIMultiDictProxy(CIMultiDict(response.headers)), read)
        except TimeoutError:
            return Unreached(url, "no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Unreached(url, (str(error) or type(error).__name__)[:200])


async def _read(response: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    async for piece in response.content.iter_chunked(1 << 16):
        read += piece
        if len(read) > _MOST_BYTES:
            break
    return bytes(read)


def without_query(url: str) -> str:
    """Return an address that can be shown: without query and fragment, at most 200 characters."""
    return url.partition("?")[0].partition("#")[0][:200]


def port_of(url: str) -> int:
    """Return the port of an address, the usual one where it names none."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


class _WaysResolver(AbstractResolver):
    """Makes aiohttp resolve names as the doctor does."""

    def __init__(self, ways: NetworkAccess) -> None:
        self._ways = ways

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return where to connect to.

        Args:
            host: The host of the request.
            port: The port of the request.
            family: IPv4, IPv6, or any.
        """
        found = [
            ResolveResult(
                hostname=host,
                host=address,
                port=at,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address, at in await self._ways.endpoints(host, port)
        ]
        found = [each for each in found if family in {socket.AF_UNSPEC, each["family"]}]
        if not found:
            raise OSError(None, f"no address of {host} is known")
        return found

    async def close(self) -> None:
        """Do nothing: nothing is held."""


def tls_context(ways: NetworkAccess) -> ssl.SSLContext:
    """Return a TLS context that verifies certificates as browsers do."""
    return ssl.create_default_context(cafile=ways.authorities)


@asynccontextmanager
async def visiting(ways: NetworkAccess) -> AsyncIterator[Visitor]:
    """Open a visitor that resolves names as ``ways`` says."""
    context = await asyncio.to_thread(tls_context, ways)
    connector = aiohttp.TCPConnector(resolver=_WaysResolver(ways), ssl=context, use_dns_cache=False, force_close=True)
    timeout = aiohttp.ClientTimeout(total=ways.seconds)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:
        yield Visitor(ways, session)
