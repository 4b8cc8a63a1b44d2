"""Names of parameters and of members of custom data: which may stay, and which never do."""

import re
from functools import lru_cache
from typing import NamedTuple

from proxy.rules.effort import Effort

# The most characters of a name whose answer is cached beyond its request; pages use a few dozen names.
_SHORT = 32
# Meta, custom data parameters and the Pixel's standard events; the parts of ``contents``.
_MEMBERS = frozenset({
    "availability", "brand", "category", "content_category", "content_ids", "content_name", "content_type", "contents",
    "currency", "delivery_category", "description", "id", "item_price", "net_revenue", "num_items", "order_id",
    "predicted_ltv", "price", "quantity", "search_string", "status", "title", "value",
})  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[\W_]+")


class Allowed(NamedTuple):
    """What the owner of a site lets leave, and never lets leave; made by ``allowed_by``."""

    keep: frozenset[str]
    """Query parameters that may stay; case-sensitive, none of them blocked."""
    block: frozenset[str]
    """Parameters and members of custom data that never stay, as ``field_types.folded`` writes them."""
    members: frozenset[str] = frozenset()
    """Usual members of custom data that are not blocked; other names are checked when they occur."""


@lru_cache(maxsize=256)
def allowed_by(keep: frozenset[str], block: frozenset[str]) -> Allowed:
    """Return what a site allows; a blocked parameter is not kept, even if ``keep`` lists it."""
    kept, members = (frozenset(name for name in names if not _is_blocked(name, block)) for names in (keep, _MEMBERS))
    return Allowed(kept, block, members)


def _is_blocked(name: str, block: frozenset[str]) -> bool:
    """Tell whether a name or its last word is blocked: ``email``, ``e-mail``, ``billingEmail``, ``user[email]``."""
    words = name if name.islower() and name.isidentifier() else _CAMEL.sub("_", name).lower()
    if not words.isidentifier():
        words = _SEPARATORS.sub("_", words)
    words = words.strip("_")
    return words.rpartition("_")[2] in block or words.replace("_", "") in block


_is_short_blocked = lru_cache(maxsize=1024)(_is_blocked)


def is_blocked(name: str, block: frozenset[str], effort: Effort) -> bool:
    """Tell whether a name or its last word is blocked; within one request a long name is read once.

    Args:
        name: The name of a parameter or a member.
        block: The blocked names.
        effort: Where the request's answers are remembered.
    """
    if len(name) <= _SHORT:
        return _is_short_blocked(name, block)
    if name not in effort.blocked:
        effort.blocked[name] = _is_blocked(name, block)
    return effort.blocked[name]
