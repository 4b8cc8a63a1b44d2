"""Which process shall lead which lane. Pure functions: all processes get the same answer from the same facts."""

from collections import Counter
from collections.abc import Collection, Mapping
from hashlib import blake2b


def shares(wishes: Mapping[bytes, Collection[str]], leaders: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return, for each lane that a living process wishes to lead, the process that shall lead it.

    The present leader stays where that is fair: of two processes that wish to lead the same lanes, neither shall lead
    two or more lanes more than the other.

    Args:
        wishes: Which lanes each living process wishes to lead.
        leaders: The present leader of each lane; leaders that are not alive are ignored.
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
    """Return a lane whose leader leads at least two lanes more than another that wishes to lead it, and that other."""
    for lane in sorted(chosen):
        other = _least_loaded(lane, wishers[lane], load)
        if load.get(other, 0) + 1 < load[chosen[lane]]:
            return lane, other
    return None


def _least_loaded(lane: str, replicas: Collection[bytes], load: Mapping[bytes, int]) -> bytes:
    return min(replicas, key=lambda replica: (load.get(replica, 0), _rank(lane, replica)))


def _rank(lane: str, replica: bytes) -> bytes:
    """Return a hash that spreads the lanes over processes that lead equally many."""
    return blake2b(lane.encode() + replica, digest_size=8).digest()
