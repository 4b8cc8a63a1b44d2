"""Who shall lead which lane; pure, so that every process comes to the same answer from the same facts."""

from collections import Counter
from collections.abc import Collection, Mapping
from hashlib import blake2b


def shares(wishes: Mapping[bytes, Collection[str]], leaders: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return who shall lead each lane that somebody living wishes to lead.

    Whoever leads stays where that is fair: of two who wish to lead the same lanes none leads two more than the other.

    Args:
        wishes: Which lanes each living process wishes to lead.
        leaders: Who leads now; those who are not among the living count for nothing.
    """
    wishers: dict[str, list[bytes]] = {}
    for replica, lanes in wishes.items():
        for lane in lanes:
            wishers.setdefault(lane, []).append(replica)
    chosen = {lane: leaders[lane] for lane, some in wishers.items() if leaders.get(lane) in some}
    load = Counter(chosen.values())
    for lane in sorted(wishers.keys() - chosen.keys()):
        chosen[lane] = _least_loaded(lane, wishers[lane], load)
        load[chosen[lane]] += 1
    while moved := _unfair(chosen, wishers, load):
        lane, replica = moved
        load[chosen[lane]] -= 1
        load[replica] += 1
        chosen[lane] = replica
    return chosen


def _unfair(
    chosen: Mapping[str, bytes], wishers: Mapping[str, Collection[bytes]], load: Mapping[bytes, int]
) -> tuple[str, bytes] | None:
    """Return a lane whose leader has too much beside another who wishes to lead it, and that other."""
    for lane in sorted(chosen):
        other = _least_loaded(lane, wishers[lane], load)
        if load.get(other, 0) + 1 < load[chosen[lane]]:
            return lane, other
    return None


def _least_loaded(lane: str, replicas: Collection[bytes], load: Mapping[bytes, int]) -> bytes:
    return min(replicas, key=lambda replica: (load.get(replica, 0), _rank(lane, replica)))


def _rank(lane: str, replica: bytes) -> bytes:
    """Return what spreads the lanes over processes with equally much to do."""
    return blake2b(lane.encode() + replica, digest_size=8).digest()
