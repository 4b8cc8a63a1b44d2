"""Event ids that are the same in every run: from the file, else from the order id, else from the line's content."""

import hashlib
from array import array
from typing import Any, Literal

from proxy.backfill.claims import Claim

_FIRST_PLACES = 1 << 12
_MAX_LOAD_FACTOR = 0.6


class Occurrences:
    """Counts how often each content has come, for millions of contents, in at most 40 bytes for each.

    A dictionary would take 150 bytes, and files of a million lines are usual. Contents are told apart by 63 bits of
    their hash: two of a million are confused once in ten million files.
    """

    def __init__(self) -> None:
        self._keys = _zeros("Q", _FIRST_PLACES)
        self._counts = _zeros("I", _FIRST_PLACES)
        self._used = 0

    def count(self, digest: bytes) -> int:
        """Count a content, and return how often it has come by now: 1 for the first time.

        Args:
            digest: Of the content; eight bytes or more.
        """
        if self._used > _MAX_LOAD_FACTOR * len(self._keys):
            self._grow()
        # 0 stands for an empty place.
        key = int.from_bytes(digest[:8], "little") | 1
        place = self._place(key)
        self._used += not self._keys[place]
        self._keys[place] = key
        self._counts[place] += 1
        return self._counts[place]

    def _place(self, key: int) -> int:
        last = len(self._keys) - 1
        place = (key >> 1) & last
        while self._keys[place] not in (0, key):
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        keys, counts = self._keys, self._counts
        self._keys, self._counts = _zeros("Q", 2 * len(keys)), _zeros("I", 2 * len(keys))
        for key, count in zip(keys, counts, strict=True):
            if key:
                place = self._place(key)
                self._keys[place], self._counts[place] = key, count


def _zeros(kind: Literal["Q", "I"], places: int) -> "array[int]":
    # Not from a bytes object of the full size, which would need the memory twice for a moment.
    return array(kind, (0,)) * places


class Namer:
    """Gives each event its id. It must be asked for all events of the file, in their order.

    Args:
        site: The site's name, which is part of an id made of an order id, as in the tag.
    """

    def __init__(self, site: str) -> None:
        self._site = site
        self._occurrences = Occurrences()

    def event_id(self, claim: Claim) -> str:
        """Return the id of an event: its own, else one made of its order id, else one made of its content.

        An id made of content includes how often the same content has come by now, so that repeated lines differ.
        """
        given = _id(claim.event.get("event_id"))
        order = _id(_part_of_event(claim.event, "custom_data").get("order_id"))
        return given or (f"order-{self._site}-{order}" if order else self._from_content(claim.content))

    def _from_content(self, content: bytes) -> str:
        digest = hashlib.sha256(content)
        return f"line-{digest.hexdigest()[:32]}-{self._occurrences.count(digest.digest())}"


def _id(value: Any) -> str:
    return str(value).strip() if type(value) in (str, int) else ""


def _part_of_event(event: Any, name: str) -> Any:
    value = event.get(name)
    return value if isinstance(value, dict) else {}
