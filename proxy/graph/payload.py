"""An event as Graph takes it, and the body of one request.

Source: Meta, Conversions API "using the API" and "server event parameters".
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import orjson

from proxy.model.event import BrowserCopy, Event
from proxy.model.record import Record
from proxy.model.request import Options
from proxy.model.server_request import NO_FIELDS, RequestFields

# Such a pair is checked faster than ``int | float``, which is made anew each time.
_NUMBER = (int, float)
_WORTH = blake2b(digest_size=4)


def shared(event: Event) -> bytes:
    """Return the JSON object of what all events of one request and pixel share (Meta, server event parameters)."""
    return orjson.dumps(_shared(event))


def _shared(event: Event) -> dict[str, Any]:
    payload: dict[str, Any] = {"action_source": event.action_source, "user_data": event.user_data}
    if event.url:
        payload["event_source_url"] = event.url
    if event.referrer:
        payload["referrer_url"] = event.referrer
    if event.options is not None:
        payload |= _options(event.options)
    return payload


def _options(said: Options) -> dict[str, Any]:
    options, country, state = said
    return {
        "data_processing_options": options,
        "data_processing_options_country": country,
        "data_processing_options_state": state,
    }


def own(name: str, time_s: int, identity: str, custom_data: Mapping[str, Any], written: bytes = b"") -> bytes:
    """Return the JSON object of an event's own members, which are the same for every pixel.

    Args:
        name: The event's name.
        time_s: When it happened, in seconds.
        identity: Its id.
        custom_data: Its custom data.
        written: The custom data as JSON, if they were serialized before.
    """
    return orjson.dumps(_own(name, time_s, identity, custom_data, written))


def _own(name: str, time_s: int, identity: str, custom_data: Mapping[str, Any], written: bytes = b"") -> dict[str, Any]:
    payload: dict[str, Any] = {"event_name": name, "event_time": time_s, "event_id": identity}
    if custom_data:
        payload["custom_data"] = orjson.Fragment(written) if written else custom_data
    return payload


def server_record(event: Event, fields: RequestFields) -> Record:
    """Return the record of a server's event, with a payload in one part: events of one request are about many people.

    Args:
        event: The event.
        fields: The members that its request had besides the events.
    """
    payload = {**event.more, **_own(event.name, event.time_s, event.id, event.custom_data), **_shared(event)}
    if event.opt_out is not None:
        payload["opt_out"] = event.opt_out
    about = (event.pixel, event.name, event.id, event.time_s, event.visitor, None, event.bot_reason)
    rest = (event.findings, event.person_digests, worth(event.name, event.custom_data), b"")
    return Record(*about, orjson.dumps(payload), *rest, event.action_source, fields)


def completed(
    payload: bytes, *, identity: str, user_data: Mapping[str, str], options: Options | None
) -> tuple[bytes, frozenset[str]]:
    """Return a server's event completed with what it lacked, and which match keys it took; its own values stay.

    Args:
        payload: The event as ``server_record`` wrote it.
        identity: Its new id.
        user_data: Match keys, each for an event that has none of its name.
        options: Data processing options, for an event that has none or an empty list.
    """
    event: dict[str, Any] = orjson.loads(payload)
    theirs = event["user_data"]
    taken = {name: text for name, text in user_data.items() if text and not theirs.get(name)}
    event |= {"event_id": identity, "user_data": theirs | taken}
    if options is not None and not event.get("data_processing_options"):
        event |= _options(options)
    return orjson.dumps(event), frozenset(taken)


def worth(name: str, custom_data: Mapping[str, Any]) -> bytes:
    """Return four bytes that tell the values of Purchases apart; empty for other events and without a value."""
    value = custom_data.get("value") if name == "Purchase" else None
    if not isinstance(value, _NUMBER):
        return b""
    digest = _WORTH.copy()
    digest.update(b"%.4f %s" % (value, f"{custom_data.get('currency')}".encode()))
    return digest.digest()


def parts(  # noqa: PLR0913, PLR0917 - those of ``own``, and the event
    name: str,
    time_s: int,
    identity: str,
    custom_data: Mapping[str, Any],
    written: bytes,
    event: Event | None,
    *,
    has_worth: bool = True,
) -> tuple[bytes, bytes, bytes]:
    """Return the results of ``own``, ``worth`` and ``shared`` for an event.

    Args:
        name: See ``own``.
        time_s: See ``own``.
        identity: See ``own``.
        custom_data: See ``own``.
        written: See ``own``.
        event: The event for one pixel; None if the shared part is not wanted, which is then empty.
        has_worth: Whether the result of ``worth`` is wanted; otherwise it is empty.
    """
    shared_part = b"" if event is None else shared(event)
    digest = worth(name, custom_data) if has_worth else b""
    return own(name, time_s, identity, custom_data, written), digest, shared_part


def record(event: Event) -> Record:
    """Return the record of a single event of a page, with a payload in two parts."""
    return Record(
        pixel=event.pixel,
        name=event.name,
        id=event.id,
        time_s=event.time_s,
        visitor=event.visitor,
        browser_copy=event.browser_copy or BrowserCopy.PENDING,
        bot_reason=event.bot_reason,
        payload=own(event.name, event.time_s, event.id, event.custom_data),
        findings=event.findings,
        person_digests=event.person_digests,
        worth=worth(event.name, event.custom_data),
        shared=shared(event),
    )


def body(
    payloads: Iterable[bytes], *, access_token: str, app_secret: str = "", fields: RequestFields = NO_FIELDS
) -> bytes:
    """Return the JSON body of one request; the token is sent in the body and never in the URL.

    Args:
        payloads: Events as JSON objects.
        access_token: The pixel's access token.
        app_secret: The secret of the app that the token belongs to, or "".
        fields: Members that apply to all events of the request; empty ones are left out.
    """
    extras = {"access_token": access_token}
    if app_secret:
        extras["appsecret_proof"] = proof(access_token, app_secret)
    extras |= {name: text for name, text in fields._asdict().items() if text}
    return b'{"data":[' + b",".join(payloads) + b"]," + orjson.dumps(extras)[1:]


def proof(access_token: str, app_secret: str) -> str:
    """Return ``appsecret_proof``: HMAC-SHA256 of the token, keyed with the app's secret, in lower-case hex."""
    return hmac.new(app_secret.encode(), access_token.encode(), hashlib.sha256).hexdigest()
