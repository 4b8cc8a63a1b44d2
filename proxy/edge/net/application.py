"""The aiohttp application in front of the doors: translates its requests to ``HttpRequest``, our answers to its own."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from aiohttp import hdrs, web
from multidict import CIMultiDict

from proxy.edge.exchange import BodyLostError, BodyTooLargeError, BodyTooSlowError, HttpAnswer, HttpRequest
from proxy.rules.limits import BODY


class AiohttpRequest:
    """A request that aiohttp read; see ``HttpRequest``."""

    __slots__ = ("_request", "headers", "is_secure", "method", "path", "peer", "size")

    whole_body = None

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.headers = _headers(request.headers)
        self.method = request.method
        self.path = request.path
        self.peer = request.remote or ""
        self.is_secure = request.secure
        claimed = request.content_length
        self.size = (BODY if request.can_read_body else 0) if claimed is None else claimed

    @property
    def query(self) -> str:
        """The query string as it came, without the question mark."""
        return self._request.rel_url.raw_query_string

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes; see ``HttpRequest`` for what is raised."""
        try:
            async for piece in self._request.content.iter_any():
                yield piece
        except web.HTTPRequestTimeout as error:
            raise BodyTooSlowError from error
        except (OSError, web.RequestPayloadError) as error:
            raise BodyLostError from error

    async def body(self) -> bytes:
        """Return the whole body; see ``HttpRequest`` for what is raised."""
        try:
            return await self._request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise BodyTooLargeError from error
        except web.HTTPRequestTimeout as error:
            raise BodyTooSlowError from error
        except (OSError, web.RequestPayloadError) as error:
            raise BodyLostError from error


def _headers(lines: Mapping[str, str]) -> dict[str, str]:
    """Return headers by their lower-case names, lines of the same name joined by commas, those of cookies by ``; ``."""
    joined: dict[str, str] = {}
    for written, value in lines.items():
        name = written.lower()
        if not value.isascii():
            value = value.encode(errors="surrogateescape").decode(errors="replace")  # noqa: PLW2901 - hardly ever
        joined[name] = f"{joined[name]}{'; ' if name == 'cookie' else ', '}{value}" if name in joined else value
    return joined


def application(answer: Callable[[HttpRequest], Awaitable[HttpAnswer]]) -> web.Application:
    """Return an application that answers every request with ``answer``; it starts and stops nothing itself."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return _response(await answer(AiohttpRequest(request)))
        except BodyLostError as lost:
            raise (lost.__cause__ or lost) from None

    app = web.Application(client_max_size=BODY)
    app.router.add_route(hdrs.METH_ANY, "/{path:.*}", handle)
    return app


def _response(answer: HttpAnswer) -> web.Response:
    headers = CIMultiDict(answer.headers)
    for cookie in answer.cookies:
        headers.add(hdrs.SET_COOKIE, cookie)
    return web.Response(status=answer.status, body=answer.body, headers=headers)
