"""The words Graph answers with: one success, one shape for every error."""

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
    """An error in Graph's fields, after Meta's error-handling page.

    `code` 100 is "invalid parameter"; most of what the Conversions API refuses comes as HTTP 400 with it and a
    `subcode`. `transient` None leaves `is_transient` out, as seen with token errors. `blame` is the path of the
    bad field inside the event.
    """

    message: str = "Invalid parameter"
    code: int = 100
    subcode: int | None = None
    status: int = 400
    type: str = "OAuthException"
    title: str | None = None
    words: str | None = None
    transient: bool | None = False
    blame: tuple[str, ...] = ()

    def answer(self, trace: str, headers: Mapping[str, str] = IDLE) -> Answer:
        """The HTTP answer; `trace` becomes its `fbtrace_id`."""
        return Answer(self.status, orjson.dumps({"error": self._error(trace)}), headers)

    def _error(self, trace: str) -> dict[str, Any]:
        every = {
            "message": self.message,
            "type": self.type,
            "code": self.code,
            "error_subcode": self.subcode,
            "is_transient": self.transient,
            "error_user_title": self.title,
            "error_user_msg": self.words,
            "error_data": {"blame_field_specs": [self.blame]} if self.blame else None,
            "fbtrace_id": trace,
        }
        return {name: value for name, value in every.items() if value is not None}


def received(count: int, trace: str) -> Answer:
    """The success: how many events were accepted, which says nothing of how many were matched."""
    return Answer(200, orjson.dumps({"events_received": count, "messages": [], "fbtrace_id": trace}))


def bad_token(message: str) -> ApiError:
    """Code 190 as recorded live for a token Graph cannot parse: HTTP 401, no subcode, no `is_transient`."""
    return ApiError(message, code=190, status=401, transient=None)


def no_object(name: str) -> ApiError:
    """Code 100 with subcode 33: the pixel does not exist, or the token may not see it."""
    return ApiError(
        f"Unsupported post request. Object with ID '{name}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation",
        subcode=33,
        type="GraphMethodException",
    )
