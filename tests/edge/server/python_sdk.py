"""Meta's Python SDK, unmodified, in a program of its own: it sends cases to a host, and prints how each was answered.

Arguments: the host with its path, the access token, the pixel, a mark that all event ids begin with, the time in
seconds, and what to send: ``all``, which also prints the SDK's fields that the program does not set, or names of bad
cases, each with the way to send it before it, such as ``asynchronous:too old``.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import requests
from facebook_business.adobjects.abstractcrudobject import AbstractCrudObject
from facebook_business.adobjects.adspixel import AdsPixel
from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.batch_processor import BatchProcessor
from facebook_business.adobjects.serverside.event_request import EventRequest
from facebook_business.adobjects.serverside.event_request_async import EventRequestAsync
from facebook_business.adobjects.serverside.http_service_interface import HttpServiceInterface
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession
from python_sdk_events import Events
from python_sdk_fields import FIELDS, unsent

BASE, TOKEN, PIXEL, MARK, AT, *WANTED = sys.argv[1:]
events = Events(MARK, int(AT))
Answers = list[Mapping[str, Any]]


class _Client(HttpServiceInterface):  # type: ignore[misc]
    """An HTTP client of the program's own, which the SDK lets a program bring."""

    def __init__(self, body: str) -> None:
        self._body = body

    def execute(self, url: str, method: str, request_options: Any, headers: Any, params: Any) -> dict[str, Any]:
        assert request_options.ca_bundle_path
        answer = requests.request(method, url, headers=headers, timeout=60, **{self._body: params}).json()
        assert isinstance(answer, dict)
        return answer


def _told(answer: Any) -> Mapping[str, Any]:
    if isinstance(answer, dict | AbstractCrudObject):
        return {"received": answer["events_received"], "messages": answer["messages"], "trace": answer["fbtrace_id"]}
    return {"received": answer.events_received, "messages": answer.messages, "trace": answer.fbtrace_id}


def synchronous(sent: Sequence[Any], **fields: str) -> Answers:
    return [_told(EventRequest(pixel_id=PIXEL, events=list(sent), **fields).execute())]


def by_client(sent: Sequence[Any], body: str, **fields: str) -> Answers:
    access = {"access_token": TOKEN, "appsecret": "an app's secret"}
    request = EventRequest(pixel_id=PIXEL, events=list(sent), http_client=_Client(body), **access, **fields)
    return [_told(request.execute())]


def as_form(sent: Sequence[Any], **fields: str) -> Answers:
    return by_client(sent, "data", **fields)


def as_json(sent: Sequence[Any], **fields: str) -> Answers:
    return by_client(sent, "json", **fields)


def asynchronous(sent: Sequence[Any], **fields: str) -> Answers:
    return [_told(asyncio.run(EventRequestAsync(pixel_id=PIXEL, events=list(sent), **fields).execute()))]


async def _answers(generator: Any) -> Answers:
    return [_told(answer) async for answers in generator for answer in answers]


def in_batches(sent: Sequence[Any], **fields: str) -> Answers:
    template = EventRequestAsync(pixel_id=PIXEL, events=[], **fields)
    return asyncio.run(_answers(BatchProcessor(2, 2).process_events_generator(template, list(sent))))


def in_requests(sent: Sequence[Any], **fields: str) -> Answers:
    each = [EventRequestAsync(pixel_id=PIXEL, events=[event], **fields) for event in sent]
    return asyncio.run(_answers(BatchProcessor(2, 2).process_event_requests_generator(each)))


def by_pixel(sent: Sequence[Any], **fields: str) -> Answers:
    params = {"data": [event.normalize() for event in sent], **fields}
    return [_told(AdsPixel(PIXEL).create_event(fields=[], params=params))]


def in_graph_batch(sent: Sequence[Any]) -> Answers:
    """Send through Graph's general batch endpoint, which the endpoint for events does not need."""
    batch = FacebookAdsApi.get_default_api().new_batch()
    AdsPixel(PIXEL).create_event(params={"data": [event.normalize() for event in sent]}, batch=batch)
    batch.execute()
    return []


WAYS = {way.__name__: way for way in (synchronous, as_form, as_json, asynchronous, in_batches, in_requests, by_pixel)}


def all_sent() -> dict[str, Answers]:
    """Send all events in all ways, and return the answers, by case and request."""
    made: dict[str, Callable[[], Answers]] = {
        "whole": lambda: synchronous([events.whole(source) for source in ActionSource], **FIELDS),
        "one person": lambda: synchronous([events.one_person()]),
        "sources": lambda: synchronous(list(events.sources())),
        "alone": lambda: synchronous(list(events.alone())),
        "words": lambda: synchronous(list(events.words())),
        "edges": lambda: synchronous(list(events.edges())),
        "of a request": lambda: synchronous(list(events.of_request())),
    }
    for name, value in FIELDS.items():
        made[f"field {name}"] = partial(synchronous, [events.plain()], **{name: value})
    for name, way in WAYS.items():
        made[name] = partial(way, [events.whole(), *(events.plain() for _ in range(4))], **FIELDS)
    return {name: send() for name, send in made.items()}


def _shows_token(error: Exception) -> bool:
    return bool(TOKEN.strip()) and TOKEN in str(error)


def refused(case: str) -> Mapping[str, Any]:
    """Send a bad case, and return what the program sees of the error."""
    way, _, name = case.partition(":")
    try:
        {**WAYS, "in_graph_batch": in_graph_batch}[way](events.cases()[name]())
    except FacebookRequestError as error:
        return {
            "class": type(error).__name__,
            "status": error.http_status(),
            "code": error.api_error_code(),
            "subcode": error.api_error_subcode(),
            "type": error.api_error_type(),
            "message": error.api_error_message(),
            "is_transient": error.api_transient_error(),
            "blame": error.api_blame_field_specs(),
            "error": error.body()["error"],
            "shows_token": _shows_token(error),
        }
    except Exception as error:  # noqa: BLE001 - whatever a caller sees
        return {"class": type(error).__name__, "message": str(error), "shows_token": _shows_token(error)}
    return {"class": ""}


def _unsent() -> list[str]:
    template = {"pixel_id": PIXEL, **FIELDS}
    whole = [events.whole(), events.one_person()]
    return unsent([EventRequest(events=whole, **template), EventRequestAsync(events=whole, **template)])


FacebookSession.GRAPH = BASE
FacebookAdsApi.init(app_secret="an app's secret", access_token=TOKEN, crash_log=False)
told: Any = {case: refused(case) for case in WANTED if case != "all"}
if WANTED == ["all"]:
    told = {"answers": all_sent(), "unsent": _unsent()}
sys.stdout.write("\n" + json.dumps(told))
