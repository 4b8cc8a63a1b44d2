"""What Graph answers: one success, one shape for every error."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

IDLE: Mapping[str, str] = {"X-App-Usage": '{"call_count":0,"total_time":0,"total_cputime":0}'}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as a value: status, body, headers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: IDLE)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error in Graph's fields (https://developers.facebook.com/docs/graph-api/guides/error-handling).

    Attributes:
        message: For developers.
        code: 100 is "invalid parameter": most refusals of the Conversions API have it, with a `subcode`.
        subcode: None leaves `error_subcode` out.
        status: The HTTP status.
        type: Graph's class of errors.
        user_title: `error_user_title`; None leaves it out.
        user_message: `error_user_msg`; None leaves it out.
        transient: `is_transient`; None leaves it out, as seen with token errors.
        blame: The path of the bad field inside the event.
    """

    message: str = "Invalid parameter"
    code: int = 100
    subcode: int | None = None
    status: int = 400
    type: str = "OAuthException"
    user_title: str | None = None
    user_message: str | None = None
    transient: bool | None = False
    blame: tuple[str, ...] = ()

    def answer(self, trace: str, headers: Mapping[str, str] = IDLE) -> Answer:
        """Return the HTTP answer; `trace` becomes its `fbtrace_id`."""
        return Answer(self.status, orjson.dumps({"error": self._error(trace)}), headers)

    def _error(self, trace: str) -> dict[str, Any]:
        fields = {
            "message": self.message,
            "type": self.type,
            "code": self.code,
            "error_subcode": self.subcode,
            "is_transient": self.transient,
            "error_user_title": self.user_title,
            "error_user_msg": self.user_message,
            "error_data": {"blame_field_specs": [self.blame]} if self.blame else None,
            "fbtrace_id": trace,
        }
        return {name: value for name, value in fields.items() if value is not None}


def success_answer(count: int, trace: str) -> Answer:
    """Return the answer of success: how many events were accepted, which does not say how many were matched."""
    return Answer(200, orjson.dumps({"events_received": count, "messages": [], "fbtrace_id": trace}))


def no_token() -> ApiError:
    """Return code 104 with HTTP 400, which issue threads of Meta's SDKs show for a request without a token."""
    return ApiError("An access token is required to request this resource.", code=104, transient=None)


def bad_token(message: str) -> ApiError:
    """Return code 190 as recorded live for a token that Graph cannot parse: HTTP 401, no subcode, no `is_transient`."""
    return ApiError(message, code=190, status=401, transient=None)


def no_object(name: str) -> ApiError:
    """Return code 100 with subcode 33: the pixel does not exist, or the token may not see it."""
    return ApiError(
        f"Unsupported post request. Object with ID '{name}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation",
        subcode=33,
        type="GraphMethodException",
    )
