"""Match quality: how many delivered events have each match key, and an estimate of what Meta may say to that.

Meta does not publish how it makes its score, and makes it of what only it knows: whether a value is that of a person
it has. So the estimate is ours. Each key has a weight: the part of events that the key alone would match, if it had all
of them. Keys are taken to miss independently, so that of the events that the others leave unmatched each matches its
own part, and the estimate is ten times the part that is matched: 10 · (1 - Π (1 - weight · coverage)).
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
_HIGH = {"em": 0.55, "fbc": 0.5, "ph": 0.45}
_MEDIUM = {"fb_login_id": 0.3, "fbp": 0.25, "external_id": 0.2, "client_ip_address": 0.15, "db": 0.15, "ln": 0.1}
_LOW = {"fn": 0.08, "zp": 0.08, "country": 0.05, "ct": 0.05, "client_user_agent": 0.05, "lead_id": 0.05, "st": 0.03}
WEIGHTS: Mapping[str, float] = MappingProxyType(_HIGH | _MEDIUM | _LOW | {"ge": 0.02})
"""Keys that are not here, those of apps and messages, count nothing: Meta's score is about events of websites."""
_LEAST_GAIN = 0.05


@dataclass(frozen=True, slots=True)
class KeyCoverage:
    """How many delivered events have a match key."""

    key: str
    events: int
    coverage: float


@dataclass(frozen=True, slots=True)
class MatchQuality:
    """What the delivered events of a group can be matched by."""

    events: int
    score: float | None
    """0 to 10, an estimate; None without events."""
    keys: tuple[KeyCoverage, ...]
    """All keys that any of them has, or that would help; those with the most weight first."""
    advice: tuple[Advice, ...]
    """What would raise the estimate, what raises it most first."""


def match_quality(sums: Sums, name: str = "") -> MatchQuality:
    """Return what the delivered events of a group can be matched by.

    Args:
        sums: The group.
        name: What its events are called, where all have one name.
    """
    events = _delivered(sums)
    if not events:
        return MatchQuality(0, None, (), ())
    found, coverage = key_counts(sums), _coverage(sums, events)
    order = sorted(WEIGHTS.keys() | found.keys(), key=lambda key: (-WEIGHTS.get(key, 0.0), key))
    keys = tuple(KeyCoverage(key, found.get(key, 0), coverage.get(key, 0.0)) for key in order)
    gains = {key: gain for key in WEIGHTS if (gain := _gain(coverage, key)) >= _LEAST_GAIN}
    return MatchQuality(events, score(coverage), keys, advice_on(gains, sums, name))


def score_of(sums: Sums) -> float | None:
    """Return the estimate for a group; None without delivered events."""
    events = _delivered(sums)
    return score(_coverage(sums, events)) if events else None


def key_counts(sums: Sums) -> dict[str, int]:
    """Return how many delivered events had each match key that any of them had."""
    return dict(Counter(sums.page_keys) + Counter(sums.server_keys))


def _delivered(sums: Sums) -> int:
    return sums.delivered(by_servers=True) + sums.delivered(by_servers=False)


def _coverage(sums: Sums, events: int) -> dict[str, float]:
    return {key: count / events for key, count in key_counts(sums).items()}


def score(coverage: Mapping[str, float]) -> float:
    """Return the estimate for keys of which each part of the events has one, 0 to 1."""
    return round(10 * (1 - prod(1 - weight * coverage.get(key, 0.0) for key, weight in WEIGHTS.items())), 2)


def _gain(coverage: Mapping[str, float], key: str) -> float:
    """Return by how much the estimate rises if all events have a key."""
    return round(score({**coverage, key: 1.0}) - score(coverage), 2)
