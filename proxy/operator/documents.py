"""JSON in and out of the operator API."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

_MOST_ROWS = 1000
# Python refuses to read a number of more than 4,300 digits.
_MOST_DIGITS = 19


class BadQueryError(ValueError):
    """A parameter of the operator API cannot be used; the text says what is accepted."""


def json_response(
    document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return an answer with a JSON object.

    Args:
        document: The object.
        status: The HTTP status.
        headers: Further headers.
    """
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json", headers=headers)


async def json_object(request: web.Request) -> Mapping[str, Any]:
    """Return the JSON object that was sent.

    Raises:
        BadQueryError: when the body is no JSON object.
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
    number = whole_number(limit)
    if not number or number > _MOST_ROWS:
        raise BadQueryError(f"limit: {limit[:20]!r}; accepted: 1 to {_MOST_ROWS}")
    return number


def whole_number(text: str) -> int | None:
    """Return a text of decimal digits as a number; None for any other text, and for numbers of 2**62 or more."""
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        return None
    return number if (number := int(text)) < 1 << 62 else None
