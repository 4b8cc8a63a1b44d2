"""Match quality: how many delivered events have each match key, and an estimate of the score that Meta may give.

Meta does not publish how it computes its score, and uses what only Meta knows: whether a value belongs to one of its
users. So the estimate is our own. Each key has a weight: the part of events that the key alone would match if every
event had it. Keys are assumed to fail independently, so each key matches its part of the events that the other keys
leave unmatched. The estimate is ten times the matched part: 10 · (1 - Π (1 - weight · coverage)).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from proxy.figures.match_advice import Advice, advice_on
from proxy.figures.sums import Sums

# Meta's order (help centre, event match quality): high email and click id; medium login id, birth date, country, phone,
# external id and browser id; low lead id, names, city, zip. Its best practices name email, address, names and phone.
_HIGH = {"em": 55, "fbc": 50, "ph": 45}
_MEDIUM = {"fb_login_id": 30, "fbp": 25, "external_id": 20, "client_ip_address": 15, "db": 15, "ln": 10}
_LOW = {"fn": 8, "zp": 8, "country": 5, "ct": 5, "client_user_agent": 5, "lead_id": 5, "st": 3, "ge": 2}
WEIGHTS: Mapping[str, int] = MappingProxyType(_HIGH | _MEDIUM | _LOW)
"""In hundredths. Other keys, which only apps and messages have, count nothing: Meta's score is about websites."""
_LEAST_GAIN = 5


@dataclass(frozen=True, slots=True)
class KeyCoverage:
    """How many delivered events have a match key."""

    key: str
    events: int
    coverage: float


@dataclass(frozen=True, slots=True)
class MatchQuality:
    """The match keys of the delivered events of a group, with the estimate and advice."""

    events: int
    score: float | None
    """0 to 10, an estimate; None without events."""
    keys: tuple[KeyCoverage, ...]
    """All keys that any of the events has, or that have a weight; those with the most weight first."""
    advice: tuple[Advice, ...]
    """How to raise the estimate, the most effective first."""


def match_quality(sums: Sums, name: str = "") -> MatchQuality:
    """Return the match keys of the delivered events of a group, with the estimate and advice.

    Args:
        sums: The group.
        name: The name of its events, when all have the same.
    """
    events = _delivered(sums)
    if not events:
        return MatchQuality(0, None, (), ())
    found = key_counts(sums)
    order = sorted(WEIGHTS.keys() | found.keys(), key=lambda key: (-WEIGHTS.get(key, 0), key))
    keys = tuple(KeyCoverage(key, found.get(key, 0), found.get(key, 0) / events) for key in order)
    now = score(found, events)
    gains = {key: gain for key in WEIGHTS if (gain := score({**found, key: events}, events) - now) >= _LEAST_GAIN}
    return MatchQuality(events, now / 100, keys, advice_on(gains, sums, name))


def score_of(sums: Sums) -> float | None:
    """Return the estimate for a group, 0 to 10; None without delivered events."""
    events = _delivered(sums)
    return score(key_counts(sums), events) / 100 if events else None


def key_counts(sums: Sums) -> dict[str, int]:
    """Return how many delivered events had each match key that any of them had."""
    return dict(Counter(sums.page_keys) + Counter(sums.server_keys))


def score(counts: Mapping[str, int], events: int) -> int:
    """Return the estimate in hundredths, 0 to 1000, computed with integers so that it is the same on every machine.

    Args:
        counts: How many of the events have each match key.
        events: How many there are, at least one.
    """
    weighed = [WEIGHTS[key] * count for key, count in counts.items() if count and key in WEIGHTS]
    unmatched: int = prod(100 * events - part for part in weighed)
    everything: int = (100 * events) ** len(weighed)
    return (2000 * (everything - unmatched) + everything) // (2 * everything)


def _delivered(sums: Sums) -> int:
    return sums.delivered(by_servers=True) + sums.delivered(by_servers=False)
