"""Which events can be sent; those that Meta would certainly refuse are reported before anything is sent."""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from typing import Any, NamedTuple

from proxy.backfill.claims import Claim, FileOptions, LeftOut, NotSent, WrongValueError
from proxy.backfill.columns import EVENT_PARTS
from proxy.backfill.ids import Namer
from proxy.backfill.values import moment
from proxy.graph.law import ACTION_SOURCES, max_age_ms
from proxy.model.server_request import RequestFields

_AHEAD_S = 60
_MARGIN_S = 3600
"""Events may wait before they are sent; one that would become too old within this time is not sent."""


class Ready(NamedTuple):
    """An event that can be sent."""

    line: int
    end: int
    event: Mapping[str, Any]
    time_s: int
    action_source: str
    fields: RequestFields


def skip_done(claims: Iterable[Claim | NotSent], namer: Namer, done: int) -> Iterator[Claim | NotSent]:
    """Yield the claims, with a ``NotSent`` in place of each that an earlier run has done.

    A claim that is done is given its id all the same, as the ids of later claims depend on it.

    Args:
        claims: In the order of the file.
        namer: Gives the ids; ``judge_claims`` must get the same one.
        done: Bytes of the file whose events are done.
    """
    for claim in claims:
        if isinstance(claim, NotSent) or claim.end > done:
            yield claim
        else:
            namer.event_id(claim)
            yield NotSent(claim.line, claim.end, "done by an earlier run")


def judge_claims(
    claims: Iterable[Claim | NotSent], namer: Namer, wishes: FileOptions, now_s: int
) -> Iterator[Ready | NotSent]:
    """Yield each claim with its id, or why it is not sent.

    Args:
        claims: In the order of the file.
        namer: Gives the ids.
        wishes: How the owner wants the file to be read.
        now_s: The current time, in Unix seconds.
    """
    for claim in claims:
        yield claim if isinstance(claim, NotSent) else _judge_claim(claim, namer, wishes, now_s)


def _judge_claim(claim: Claim, namer: Namer, wishes: FileOptions, now_s: int) -> Ready | NotSent:
    # It gets its id before it is judged: the count of equal lines must not depend on which of them are too old today.
    event = {**_with_constants(claim.event, wishes.constants), "event_id": namer.event_id(claim)}
    try:
        time_s = event["event_time"] = _checked_time_s(event, wishes.zone)
    except WrongValueError as error:
        return NotSent(claim.line, claim.end, str(error))
    source = event["action_source"].strip().lower()
    why = _age_problem(time_s, source, now_s)
    if why:
        kind = LeftOut.TOO_OLD if time_s < now_s else LeftOut.REFUSED
        return NotSent(claim.line, claim.end, why, kind, source)
    return Ready(claim.line, claim.end, event, time_s, source, claim.fields)


def _with_constants(event: Mapping[str, Any], constants: Mapping[str, str]) -> dict[str, Any]:
    found = dict(event)
    for place, value in constants.items():
        room, _, leaf = place.rpartition(".")
        inside = (found.get(room) or {}) if room else found
        if room in EVENT_PARTS and isinstance(inside, dict) and inside.get(leaf) in (None, ""):
            found |= {room: {**inside, leaf: value}} if room else {leaf: value}
    return found


def _checked_time_s(event: Mapping[str, Any], zone: tzinfo | None) -> int:
    for name in ("event_name", "action_source"):
        if not isinstance(event.get(name), str) or not event[name].strip():
            raise WrongValueError(f"{name} is missing")
    if event["action_source"].strip().lower() not in ACTION_SOURCES:
        raise WrongValueError(f"action_source must be one of {', '.join(ACTION_SOURCES)}")
    if not isinstance(event.get("user_data"), dict) or not any(event["user_data"].values()):
        raise WrongValueError("user_data says nothing of a person")
    if event["event_name"] == "Purchase":
        _check_sale(event.get("custom_data"))
    return _time_s(event.get("event_time"), zone)


def _check_sale(custom: Any) -> None:
    value = custom.get("value") if isinstance(custom, dict) else None
    if value in (None, "") or not custom.get("currency"):
        raise WrongValueError("a Purchase needs custom_data.value and custom_data.currency")
    if isinstance(value, float | int) and value < 0:
        raise WrongValueError("custom_data.value is negative; a refund is no Purchase")


def _time_s(value: Any, zone: tzinfo | None) -> int:
    if value in (None, ""):
        raise WrongValueError("event_time is missing")
    if isinstance(value, str):
        return moment(value.strip(), zone)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WrongValueError("event_time must be Unix seconds")
    return moment(str(int(value)), None)


def _age_problem(time_s: int, source: str, now_s: int) -> str:
    limit_s = max_age_ms(source) // 1000
    if time_s < now_s - limit_s + _MARGIN_S:
        return f"older than {limit_s // 86_400} days, which is the most that Meta takes for {source}"
    return "event_time lies in the future" if time_s > now_s + _AHEAD_S else ""
