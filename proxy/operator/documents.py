"""JSON in and out of the operator API."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

_MOST_ROWS = 1000


class BadQueryError(ValueError):
    """A parameter of the operator API cannot be used; the text says what is accepted."""


def json_response(document: Mapping[str, Any], status: int = 200) -> web.Response:
    """Return an answer with a JSON object."""
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")


async def json_object(request: web.Request) -> Mapping[str, Any]:
    """Return the JSON object that was sent.

    Raises:
        BadQueryError: when the body is none.
    """
    try:
        document = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise BadQueryError("body: accepted: a JSON object")
    return document


def row_limit(query: Mapping[str, str]) -> int:
    """Return how many rows are wanted at most: the parameter ``limit``, usually 100.

    Raises:
        BadQueryError: when it is no number, or too large.
    """
    limit = query.get("limit", "100")
    if not limit.isdecimal() or not 0 < int(limit) <= _MOST_ROWS:
        raise BadQueryError(f"limit: {limit[:20]!r}; accepted: 1 to {_MOST_ROWS}")
    return int(limit)
