"""What the answers of several doors share: refusals, and the CORS headers that let a page of the site read them."""

import orjson

from proxy.edge.exchange import HttpAnswer

JSON = {"Content-Type": "application/json"}
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
PREFLIGHT = {"Access-Control-Allow-Headers": "Content-Type", "Access-Control-Max-Age": "7200"}


def error_body(why: str) -> bytes:
    """Return the JSON body of a refusal."""
    return orjson.dumps({"error": why})


def refusal(status: int, why: str, *, retry_seconds: int = 0) -> HttpAnswer:
    """Return a refusal in JSON.

    Args:
        status: The HTTP status.
        why: The reason, without anything the client sent that could be personal.
        retry_seconds: After how many seconds the page may try again; 0 for no ``Retry-After`` header.
    """
    more = {"Retry-After": str(retry_seconds)} if retry_seconds else {}
    return HttpAnswer(status, error_body(why), JSON | more)


def add_cors_headers(answer: HttpAnswer, origin: str) -> None:
    """Let a page of the site read an answer, with its cookies sent and kept (Fetch, CORS protocol)."""
    headers = answer.headers
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Allow-Credentials"] = "true"
    headers["Access-Control-Expose-Headers"] = "Retry-After"
    headers.setdefault("Vary", "Origin")
