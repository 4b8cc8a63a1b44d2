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


def shared(event: Event) -> bytes:
    """Return what all events of one request and pixel say alike, as Graph takes it (Meta, server event parameters)."""
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
    """Return what is one event's own, as Graph takes it, the same for every pixel.

    Args:
        name: Of the event.
        time_s: When it happened, in seconds.
        identity: Its id.
        custom_data: Its custom data.
        written: These as JSON, where they have been written already.
    """
    return orjson.dumps(_own(name, time_s, identity, custom_data, written))


def _own(name: str, time_s: int, identity: str, custom_data: Mapping[str, Any], written: bytes = b"") -> dict[str, Any]:
    payload: dict[str, Any] = {"event_name": name, "event_time": time_s, "event_id": identity}
    if custom_data:
        payload["custom_data"] = orjson.Fragment(written) if written else custom_data
    return payload


def server_record(event: Event, fields: RequestFields) -> Record:
    """Write a server's event as Graph takes it, in one part: its neighbours are about others.

    Args:
        event: The event.
        fields: What its request said beside it.
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
    """Return a server's event with what it lacked, and the match keys that it took; what it says itself stays.

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
    """Return what tells the values of Purchases apart; of no other event anything."""
    value = custom_data.get("value") if name == "Purchase" else None
    if not isinstance(value, int | float):
        return b""
    return blake2b(f"{value:.4f} {custom_data.get('currency')}".encode(), digest_size=4).digest()


def parts(  # noqa: PLR0913, PLR0917 - those of ``own``, and the event
    name: str, time_s: int, identity: str, custom_data: Mapping[str, Any], written: bytes, event: Event | None
) -> tuple[bytes, bytes, bytes]:
    """Return what is one event's own, its worth, and what the events of its request and pixel share; see above.

    Args:
        name: As with ``own``; likewise the next four.
        time_s: See ``name``.
        identity: See ``name``.
        custom_data: See ``name``.
        written: See ``name``.
        event: The event for one pixel; None where what is shared is not wanted.
    """
    shared_part = b"" if event is None else shared(event)
    return own(name, time_s, identity, custom_data, written), worth(name, custom_data), shared_part


def record(event: Event) -> Record:
    """Write an event that stands alone, as Graph takes it, in two parts."""
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
    """Return the JSON body of one request; the token rides here and never in the address.

    Args:
        payloads: Events as JSON objects.
        access_token: Of the pixel.
        app_secret: Of the app that the token belongs to, or "".
        fields: What the request says of all its events; empty ones are left out.
    """
    extras = {"access_token": access_token}
    if app_secret:
        extras["appsecret_proof"] = proof(access_token, app_secret)
    extras |= {name: text for name, text in fields._asdict().items() if text}
    return b'{"data":[' + b",".join(payloads) + b"]," + orjson.dumps(extras)[1:]


def proof(access_token: str, app_secret: str) -> str:
    """Return ``appsecret_proof``: HMAC-SHA256 of the token, keyed with the app's secret, in lower-case hex."""
    return hmac.new(app_secret.encode(), access_token.encode(), hashlib.sha256).hexdigest()
