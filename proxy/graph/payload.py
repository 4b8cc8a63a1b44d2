"""An event as Graph takes it, and the body of one request.

Source: Meta, Conversions API "using the API" and "server event parameters".
"""

import hashlib
import hmac
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import orjson

from proxy.model.event import BrowserCopy, Event
from proxy.model.record import Record
from proxy.model.server_request import RequestFields


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
        options, country, state = event.options
        payload["data_processing_options"] = options
        payload["data_processing_options_country"] = country
        payload["data_processing_options_state"] = state
    return payload


def record(event: Event, shared_part: bytes | None = None, like: Record | None = None) -> Record:
    """Write an event as Graph takes it, in two parts.

    Args:
        event: The event.
        shared_part: The part that it shares with others, if that was written already.
        like: The record of the same event for another pixel, if there is one: what both say is written once.
    """
    # By name it would take twice as long, and a request may come to hundreds.
    about = (event.pixel, event.name, event.id, event.time_s, event.visitor, event.browser_copy or BrowserCopy.PENDING)
    own, worth = (like.payload, like.worth) if like else (_own(event), _worth(event))
    shared_part = shared(event) if shared_part is None else shared_part
    return Record(*about, event.bot_reason, own, event.findings, event.person_digests, worth, shared_part)


def server_record(event: Event, fields: RequestFields) -> Record:
    """Write a server's event as Graph takes it, in one part: its neighbours are about others.

    Args:
        event: The event.
        fields: What its request said beside it.
    """
    payload = {**event.more, **_own_members(event), **_shared(event)}
    if event.opt_out is not None:
        payload["opt_out"] = event.opt_out
    about = (event.pixel, event.name, event.id, event.time_s, event.visitor, BrowserCopy.PENDING, event.bot_reason)
    rest = (event.findings, event.person_digests, _worth(event), b"")
    return Record(*about, orjson.dumps(payload), *rest, event.action_source, fields)


def _own(event: Event) -> bytes:
    return orjson.dumps(_own_members(event))


def _own_members(event: Event) -> dict[str, Any]:
    payload: dict[str, Any] = {"event_name": event.name, "event_time": event.time_s, "event_id": event.id}
    if event.custom_data:
        payload["custom_data"] = orjson.Fragment(event.written) if event.written else event.custom_data
    return payload


def _worth(event: Event) -> bytes:
    value = event.custom_data.get("value") if event.name == "Purchase" else None
    if not isinstance(value, int | float):
        return b""
    return blake2b(f"{value:.4f} {event.custom_data.get('currency')}".encode(), digest_size=4).digest()


def body(payloads: Iterable[bytes], *, access_token: str, app_secret: str = "", test_event_code: str = "") -> bytes:
    """Return the JSON body of one request; the token rides here and never in the address.

    Args:
        payloads: Events as JSON objects.
        access_token: Of the pixel.
        app_secret: Of the app that the token belongs to, or "".
        test_event_code: By which the events are shown as a test, or "".
    """
    extras = {"access_token": access_token}
    if app_secret:
        extras["appsecret_proof"] = proof(access_token, app_secret)
    if test_event_code:
        extras["test_event_code"] = test_event_code
    return b'{"data":[' + b",".join(payloads) + b"]," + orjson.dumps(extras)[1:]


def proof(access_token: str, app_secret: str) -> str:
    """Return ``appsecret_proof``: HMAC-SHA256 of the token, keyed with the app's secret, in lower-case hex."""
    return hmac.new(app_secret.encode(), access_token.encode(), hashlib.sha256).hexdigest()
