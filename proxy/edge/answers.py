"""What the answers of several doors have in common: refusals, and what lets a page of the site read them."""

import orjson
from aiohttp import hdrs, web

JSON = "application/json"
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
PREFLIGHT: dict[str, str] = {
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: hdrs.CONTENT_TYPE,
    hdrs.ACCESS_CONTROL_MAX_AGE: "7200",
}


def problem(why: str) -> bytes:
    """Return the JSON body of a refusal."""
    return orjson.dumps({"error": why})


def refusal(status: int, why: str, *, retry_seconds: int = 0) -> web.Response:
    """Return a refusal in JSON.

    Args:
        status: The HTTP status.
        why: The reason, without anything the client sent that could be personal.
        retry_seconds: When the page may try again; 0 says nothing of it.
    """
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
