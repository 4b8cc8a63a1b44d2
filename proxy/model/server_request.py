"""What a server's request claims: events of a backend, an SDK or a webhook, in one shape whatever sent them.

Unlike with a browser's request (``request.py``) there is no visitor at the other end of the connection, so neither its
address nor its headers say anything of the buyer.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from proxy.model.request import Options


class RequestFields(NamedTuple):
    """Members of a request that apply to all its events; events whose fields differ never share a batch.

    Source: Meta, Conversions API, "using the API" and "offline events". Empty where the request does not say.
    """

    test_event_code: str = ""
    partner_agent: str = ""
    upload_tag: str = ""
    upload_id: str = ""
    upload_source: str = ""
    namespace_id: str = ""


NO_FIELDS = RequestFields()


class ServerBody(NamedTuple):
    """What an endpoint hands to the rules: the decompressed body of a request, and what its head says about it."""

    content: bytes
    content_type: str = ""
    """The header ``Content-Type``, or empty."""
    query: str = ""
    """The query of the URL, as it came."""


class ServerHit(msgspec.Struct, frozen=True, gc=False):
    """One event as its sender claims it, in Meta's names; contact data may still be raw."""

    place: int
    """Its index among the events of the request."""
    name: str
    id: str
    """As the sender gave it, as text; empty when it gave none."""
    time_s: int
    action_source: str
    """In Meta's words, lower case (Meta, server event parameters)."""
    user_data: Mapping[str, tuple[str, ...]]
    """Match keys by Meta's short names; each value raw or hashed, as the sender gave it."""
    custom_data: Mapping[str, Any]
    url: str = ""
    referrer: str = ""
    options: Options | None = None
    opt_out: bool | None = None
    more: Mapping[str, Any] = MappingProxyType({})
    """Other members of the event that Graph takes as they are: ``app_data``, ``original_event_data``,
    ``attribution_data``, ``messaging_channel`` and what Meta may add."""
    orders: tuple[tuple[str, str], ...] = ()
    """By which it is counted only once for weeks: pairs of a name and an id in the sender's words, such as those of its
    subscription and its invoice. If empty, the order id in its custom data counts, for events that an order has
    once."""
    checkout: str = ""
    """The token of its checkout, where its sender names it."""
    findings: tuple[str, ...] = ()
    """What was wrong with its values, in the form of an event's findings."""


class RefusedHit(NamedTuple):
    """An event that Graph would not take, in the words that Graph would use."""

    place: int
    id: str
    why: str
    code: int = 100
    subcode: int = 0
    field: str = ""
    """Which member is wrong, such as ``event_time`` or ``custom_data.value``; empty when it is the whole event."""


class ServerRequest(NamedTuple):
    """One request of a server, read into one shape; its sender was authenticated before."""

    now: int
    """Server clock in milliseconds."""
    pixel: str
    """The pixel that the address names; the site lists it."""
    hits: tuple[ServerHit, ...] = ()
    refused: tuple[RefusedHit, ...] = ()
    """Members of ``data`` that are no event."""
    fields: RequestFields = NO_FIELDS
    is_all_or_nothing: bool = False
    """Whether the first bad event refuses the whole request, as with Graph; otherwise the good events are stored, as
    with Meta's Gateway."""
