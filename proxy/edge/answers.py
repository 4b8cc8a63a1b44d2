"""Answers of the public listener: refusals, the tag, and what lets a page of the site read them."""

import orjson
from aiohttp import hdrs, web

from proxy.static_files import Asset

JSON = "application/json"
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
PREFLIGHT = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: hdrs.METH_POST,
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: hdrs.CONTENT_TYPE,
    hdrs.ACCESS_CONTROL_MAX_AGE: "7200",
}


def problem(why: str) -> bytes:
    """Return the JSON body of a refusal."""
    return orjson.dumps({"error": why})


def refusal(status: int, why: str, *, retry_seconds: int = 0) -> web.Response:
    """Return a refusal in JSON; with ``retry_seconds`` the page is asked to come again after them."""
    response = web.Response(status=status, body=problem(why), content_type=JSON)
    if retry_seconds:
        response.headers[hdrs.RETRY_AFTER] = str(retry_seconds)
    return response


def allow(response: web.Response, origin: str) -> None:
    """Let a page of the site read an answer, with its cookies sent and kept (Fetch, CORS protocol)."""
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = hdrs.RETRY_AFTER
    response.headers.setdefault(hdrs.VARY, hdrs.ORIGIN)


def script(asset: Asset, request: web.Request) -> web.Response:
    """Return a site's tag in the best encoding the browser takes, or that it has not changed."""
    coding, body = asset.choose(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    etag = f'"{asset.etag}{"-" + coding if coding else ""}"'
    headers = {
        hdrs.CONTENT_TYPE: "text/javascript; charset=utf-8",
        hdrs.CACHE_CONTROL: "public, max-age=3600",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        hdrs.ETAG: etag,
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
    if etag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers=headers)
    if coding:
        headers[hdrs.CONTENT_ENCODING] = coding
    return web.Response(body=body, headers=headers)
