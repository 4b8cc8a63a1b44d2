"""Kinds of events that the rollups count: their numbers, and which of them the table has."""

from collections.abc import Collection, Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from proxy.model.rollup import RollupKey
from proxy.queue.postgres.rollup_table import KIND
from proxy.queue.postgres.transaction import Run

# Kinds that are remembered, at most; an ordinary site has some dozens.
_MOST_KNOWN = 20_000
_FOUND = "SELECT kind FROM rollup_kind WHERE kind = ANY($1::int8[])"
_INSERT = (
    f"INSERT INTO rollup_kind(kind, {', '.join(KIND)})"  # noqa: S608 - our own names
    f" SELECT * FROM unnest($1::int8[], {', '.join(f'${number}::text[]' for number in range(2, len(KIND) + 2))})"
    f" u(kind, {', '.join(KIND)}) ORDER BY kind ON CONFLICT DO NOTHING"
)


class RollupKind(NamedTuple):
    """What the events of a kind have in common."""

    site: str
    pixel: str
    name: str
    status: str
    reason: str
    browser_copy: str
    currency: str


def kind_of(key: RollupKey, currency: str) -> RollupKind:
    """Return the kind of events that have a key and values in a currency."""
    return RollupKind(key.site, key.pixel, key.name, key.status.value, key.reason, str(key.browser_copy), currency)


@lru_cache(maxsize=10_000)
def number_of(kind: RollupKind) -> int:
    """Return the number of a kind."""
    return int.from_bytes(blake2b("\0".join(kind).encode(), digest_size=8).digest(), "big", signed=True)


class SharedKinds:
    """Remembers which kinds were seen in the table."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def has(self, kinds: Iterable[RollupKind]) -> bool:
        """Tell whether the table is known to have them all."""
        return self._known.issuperset(map(number_of, kinds))

    async def add(self, run: Run, kinds: Collection[RollupKind]) -> None:
        """Add kinds that the table may lack, within a transaction; a later call that finds them remembers them."""
        new = {number: kind for kind in kinds if (number := number_of(kind)) not in self._known}
        if not new:
            return
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        found = {row["kind"] for row in await run(_FOUND, sorted(new))}
        self._known |= found
        missing = sorted(new.keys() - found)
        if missing:
            await run(_INSERT, missing, *map(list, zip(*(new[number] for number in missing), strict=True)))
