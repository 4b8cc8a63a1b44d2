"""Body of a server's request → what it claims: access keys, request fields, and its events, still unread.

This is the first look, before anybody knows whether the sender may speak at all. It costs little, whatever the body.
"""

from typing import NamedTuple

from proxy.model.server_request import NO_FIELDS, RequestFields, ServerBody


class ServerClaim(NamedTuple):
    """What a server's request says before its events are read."""

    access_keys: tuple[str, ...] = ()
    """The different keys that query and body hold, that of the query first; the header is the door's."""
    fields: RequestFields = NO_FIELDS
    data: tuple[object, ...] = ()
    """Where the events stand; for ``reading`` alone."""
    problem: str = ""
    """Why the body cannot be read: the member, and what is accepted. Keys that were found all the same count."""


def claim_of(body: ServerBody) -> ServerClaim:
    """Return what a request claims; no body raises."""
    raise NotImplementedError(body)
