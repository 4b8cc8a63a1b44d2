"""Which public paths are those of server events: at the root and under every prefix, with doubled slashes too.

Meta's SDKs add ``/v26.0/{pixel}/events`` to whatever host they are given, and its Gateway class adds
``/capi/{pixel}/events`` behind a slash of its own. Whatever else they ask there (instruments, debug_token, batches) is
found too, since an SDK takes an answer in any other shape than Graph's for a success, or falls over it.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple


class ServerDoor(StrEnum):
    """Whose way of answering a path has; also its metric label."""

    GRAPH = "graph"
    GATEWAY = "gateway"
    HOOK = "hook"


class ServerPath(NamedTuple):
    """A path of a door for servers."""

    door: ServerDoor
    pixel: str = ""
    """Whose events are taken there; empty where none are."""
    site: str = ""
    """Whose shop tells of its orders there, by the name of the site; empty where none does."""
    kind: str = ""
    """Which kind of shop that is."""

    @property
    def takes_events(self) -> bool:
        """Whether it is the address of something."""
        return bool(self.pixel or self.site)


_VERSION = re.compile(r"v[0-9]{1,3}(?:\.[0-9]{1,3})?")
_PIXEL = re.compile(r"[0-9]{1,20}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_GATEWAY, _HOOKS = "capi", "hooks"
_EVENTS = "events"

_DOORS = {_GATEWAY: ServerDoor.GATEWAY, _HOOKS: ServerDoor.HOOK}


class ServerPaths:
    """The paths of server events, of all sites alike: whose they are, the access key says."""

    def __init__(self, prefixes: Iterable[str]) -> None:
        """Take the prefixes of all sites."""
        self._prefixes = {prefix.strip("/") for prefix in prefixes}

    def find(self, path: str) -> ServerPath | None:
        """Return the door at a path; None where the path has nothing of one.

        Under a prefix that no site has, a path still gets answers of a door, though it takes no events: whoever
        mistyped the prefix shall read what is wrong.
        """
        segments = [segment for segment in path.split("/") if segment]
        found = [_at(segments)]
        if segments and segments[0] in self._prefixes:
            found.append(_at(segments[1:]))
        doors = [place for place in found if place]
        return next((place for place in doors if place.takes_events), None) or next(iter(doors), _somewhere(segments))


def _at(segments: Sequence[str]) -> ServerPath | None:
    door = _door(segments[0]) if segments else None
    if door is None:
        return None
    if door is ServerDoor.HOOK:
        is_shop = len(segments) == 3 and _NAME.fullmatch(segments[1])
        return ServerPath(door, site=segments[1], kind=segments[2]) if is_shop else ServerPath(door)
    is_for_events = len(segments) == 3 and segments[2] == _EVENTS and _PIXEL.fullmatch(segments[1])
    return ServerPath(door, segments[1] if is_for_events else "")


def _somewhere(segments: Sequence[str]) -> ServerPath | None:
    doors = filter(None, map(_door, segments))
    return next((ServerPath(door) for door in doors), None)


def _door(segment: str) -> ServerDoor | None:
    if segment in _DOORS:
        return _DOORS[segment]
    return ServerDoor.GRAPH if _VERSION.fullmatch(segment) else None
