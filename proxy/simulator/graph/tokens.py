"""What the simulator says of access tokens: `/debug_token`, as Graph answers it for a token that asks about itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from proxy.simulator.graph import wire
from proxy.simulator.graph.answers import Answer, ApiError, bad_token, no_token
from proxy.simulator.graph.state import SIMULATOR, new_trace_id, response

APP = {"app_id": "1000000000000000", "application": "simulator", "type": "SYSTEM_USER"}
SCOPES = ("ads_management", "business_management", "ads_read")


def token_data(token: str, tokens: Mapping[str, str] | None) -> Mapping[str, Any]:
    """Return the `data` about a token.

    Args:
        token: The token in question.
        tokens: The access token of each pixel; None admits any.
    """
    if tokens is not None and token not in tokens.values():
        error = {"code": 190, "message": "Invalid OAuth access token.", "subcode": 0}
        return {"error": error, "is_valid": False, "scopes": []}
    return {**APP, "data_access_expires_at": 0, "expires_at": 0, "is_valid": True, "scopes": SCOPES}


def _answer(pairs: wire.Pairs, authorization: str, tokens: Mapping[str, str] | None) -> Answer:
    asking, asked = wire.token(pairs, authorization), wire.first(pairs, "input_token")
    if not asking:
        return no_token().answer(new_trace_id())
    if tokens is not None and asking not in tokens.values():
        return bad_token("Invalid OAuth access token.").answer(new_trace_id())
    if not asked:
        return ApiError("(#100) The parameter input_token is required").answer(new_trace_id())
    return Answer(200, orjson.dumps({"data": token_data(asked, tokens)}))


async def _debug_token(request: web.Request) -> web.Response:
    simulator = request.app[SIMULATOR]
    if simulator.faults.in_force("190"):
        return response(
            bad_token("Error validating access token: the session has been invalidated.").answer(new_trace_id())
        )
    pairs = wire.parameters(request.rel_url.raw_query_string, "", b"")
    return response(_answer(pairs, request.headers.get("Authorization", ""), simulator.graph.tokens))


ROUTES: Sequence[web.RouteDef] = [
    web.get(r"/{version:v\d+(?:\.\d+)?}/debug_token", _debug_token),
    web.get("/debug_token", _debug_token),
]
