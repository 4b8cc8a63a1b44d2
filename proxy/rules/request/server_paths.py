"""Which public paths are those of server events: at the root and under every prefix, with doubled slashes too.

Meta's SDKs add ``/v26.0/{pixel}/events`` to whatever host they are given, and its Gateway class adds
``/capi/{pixel}/events`` behind a slash of its own. Their other requests (instruments, debug_token, batches) are found
too, since an SDK takes an answer that is not in Graph's shape for a success, or fails on it.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple


class ServerDoor(StrEnum):
    """The endpoints for servers, each with its own form of answers; also their labels in metrics."""

    GRAPH = "graph"
    GATEWAY = "gateway"
    HOOK = "hook"


class ServerPath(NamedTuple):
    """A path that belongs to a door (endpoint) for servers."""

    door: ServerDoor
    pixel: str = ""
    """The pixel whose events are taken there; empty if none are."""
    site: str = ""
    """The name of the site whose shop sends webhooks there; empty if none does."""
    kind: str = ""
    """Which kind of shop that is."""

    @property
    def takes_events(self) -> bool:
        """Whether events or webhooks are taken at the path."""
        return bool(self.pixel or self.site)


_VERSION = re.compile(r"v[0-9]{1,3}(?:\.[0-9]{1,3})?")
_PIXEL = re.compile(r"[0-9]{1,20}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_GATEWAY, _HOOKS = "capi", "hooks"
_EVENTS = "events"

_DOORS = {_GATEWAY: ServerDoor.GATEWAY, _HOOKS: ServerDoor.HOOK}


class ServerPaths:
    """The paths of server events, the same for all sites: the access key tells the site."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        """Take the prefixes of all sites."""
        self._prefixes = {prefix.strip("/") for prefix in prefixes}

    def find(self, path: str) -> ServerPath | None:
        """Return the door at a path; None if no segment of the path names one.

        Under a prefix that no site has, a path still gets a door's answers, though it takes no events, so that a sender
        with a mistyped prefix can read what is wrong.
        """
        segments = [segment for segment in path.split("/") if segment]
        found = [_path_at(segments)]
        if segments and segments[0] in self._prefixes:
            found.append(_path_at(segments[1:]))
        doors = [place for place in found if place]
        return next((place for place in doors if place.takes_events), None) or next(
            iter(doors), _path_anywhere(segments)
        )


def _path_at(segments: Sequence[str]) -> ServerPath | None:
    door = _door(segments[0]) if segments else None
    if door is None:
        return None
    if door is ServerDoor.HOOK:
        is_shop = len(segments) == 3 and _NAME.fullmatch(segments[1])
        return ServerPath(door, site=segments[1], kind=segments[2]) if is_shop else ServerPath(door)
    is_for_events = len(segments) == 3 and segments[2] == _EVENTS and _PIXEL.fullmatch(segments[1])
    return ServerPath(door, segments[1] if is_for_events else "")


def _path_anywhere(segments: Sequence[str]) -> ServerPath | None:
    doors = filter(None, map(_door, segments))
    return next((ServerPath(door) for door in doors), None)


def _door(segment: str) -> ServerDoor | None:
    if segment in _DOORS:
        return _DOORS[segment]
    return ServerDoor.GRAPH if _VERSION.fullmatch(segment) else None
