"""The join of a server's event with its visitor; pure, so that every case can be tested without a queue.

The surest key that finds a visitor decides. Another person's data is never attached: if two visitors brought the key,
the event takes data from neither, and if the two sides have different values of a surer key, no weaker key may join
them. From the visitor the event takes only the browser's ids, its address, its user agent and the id of the page's copy
of the event, never contact data. Apart from the id, nothing that the server said is changed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from proxy.graph.payload import completed
from proxy.model.event import DropReason
from proxy.model.event_facts import bits_of
from proxy.model.join import CERTAIN, SAME_BROWSER, TELLING, Join, JoinKey, JoinKind, Sighting
from proxy.model.record import Record
from proxy.model.request import Options
from proxy.model.units import DAY_MS

_LDU: Options = (("LDU",), 0, 0)
# A checkout takes at most so long, and the clocks of page and backend may differ by so much. If the sighting is older
# than that, another member of the household may have given the same e-mail address or phone number.
_CHECKOUT_MS, _APART_MS = 3 * 60 * 60 * 1000, 10 * 60 * 1000
_NO_USER_AGENT = "client_user_agent:missing"


class _Match(NamedTuple):
    """The sightings by which an event is joined; of several visitors if it is unclear whose event it is."""

    kind: JoinKind
    sightings: Sequence[Sighting]

    @property
    def is_certain(self) -> bool:
        return self.kind in CERTAIN


def joined(record: Record, sightings: Iterable[Sighting], now: int) -> Record | DropReason:
    """Return a server's event completed from the sightings of its visitor, or the reason why it must not be sent.

    Args:
        record: The event; its ``pending`` is a ``Join``.
        sightings: All sightings that have any of its keys, and perhaps further ones.
        now: Server clock in milliseconds.
    """
    join = record.pending
    if not isinstance(join, Join):
        return record
    since = now - join.days * DAY_MS
    match = _match(record, join, [each for each in sightings if each.site == join.site and each.at >= since])
    if match is None:
        return _without_visitor(record, join)
    if refusal := _refusal(match):
        return DropReason(refusal.forbidden)
    permitted = [each for each in match.sightings if not each.forbidden]
    return _with_visitor(record, join, _Match(match.kind, permitted))


def _match(record: Record, join: Join, sightings: Sequence[Sighting]) -> _Match | None:
    """Return the sightings that the surest usable key finds, or None if no key does."""
    for kind in JoinKind:
        match = _Match(kind, sorted(_sightings_with_key(join.keys, sightings, kind), key=lambda sighting: sighting.at))
        # If one of the visitors refused, that counts even if the match is doubtful: the person may have refused.
        if match.sightings and (_refusal(match) or not _is_doubtful(record, join, match, sightings)):
            return match
    return None


def _refusal(match: _Match) -> Sighting | None:
    """Return the sighting that forbids to send the event, or None: the latest sighting of a visitor, if it refuses."""
    last_words = list({each.visitor: each for each in match.sightings}.values())
    return next((each for each in last_words if each.forbidden and not _is_outdated(each, last_words)), None)


def _is_doubtful(record: Record, join: Join, match: _Match, sightings: Iterable[Sighting]) -> bool:
    """Tell whether other evidence speaks against the one visitor that was found.

    A match with several visitors is not doubtful: the event then takes data from none of them.
    """
    visitors = {each.visitor for each in match.sightings}
    if match.kind in CERTAIN | SAME_BROWSER or len(visitors) > 1:
        return False
    if any(_contradicts(join.keys, each.keys, match.kind) for each in sightings if each.visitor in visitors):
        return True
    is_order = match.kind > JoinKind.ACCOUNT and _values(join.keys, JoinKind.ORDER)
    return bool(is_order) and not any(_is_its_checkout(record, each) for each in match.sightings)


def _is_its_checkout(record: Record, sighting: Sighting) -> bool:
    return -_APART_MS <= record.time_s * 1000 - sighting.at <= _CHECKOUT_MS


def _sightings_with_key(keys: Sequence[JoinKey], sightings: Iterable[Sighting], kind: JoinKind) -> list[Sighting]:
    wanted = _values(keys, kind)
    return [each for each in sightings if wanted & _values(each.keys, kind)] if wanted else []


def _contradicts(ours: Sequence[JoinKey], theirs: Sequence[JoinKey], than: JoinKind) -> bool:
    """Tell whether the two sides have different values of a key whose kind is surer than ``than``."""
    surer = [(_values(ours, kind), _values(theirs, kind)) for kind in TELLING if kind < than]
    return any(mine and others and not mine & others for mine, others in surer)


def _values(keys: Iterable[JoinKey], kind: JoinKind) -> set[bytes]:
    return {value for each, value in keys if each is kind}


def _is_outdated(refusal: Sighting, last_words: Iterable[Sighting]) -> bool:
    """Tell whether the refusal came from a browser without an id, and a sighting at that time or later permits.

    Order numbers can be guessed: a stranger who sends refusals for the next thousand order numbers must not stop the
    events of their buyers.
    """
    return not refusal.visitor and any(not each.forbidden and each.at >= refusal.at for each in last_words)


def _without_visitor(record: Record, join: Join) -> Record | DropReason:
    if join.unknown == "drop":
        return DropReason.NO_CONSENT
    if join.unknown == "send":
        return record._replace(pending=None)
    payload, _ = completed(record.payload, identity=record.id, user_data={}, options=_LDU)
    return record._replace(pending=None, payload=payload)


def _with_visitor(record: Record, join: Join, match: _Match) -> Record:
    sightings = match.sightings
    options = next((each.options for each in sightings if each.options and each.options[0]), None)
    if len({each.visitor for each in sightings}) > 1:
        payload, _ = completed(record.payload, identity=record.id, user_data={}, options=options)
        return record._replace(pending=None, payload=payload, findings=(*record.findings, "joined:several"))
    twin = next((each for each in sightings if match.is_certain and each.name == record.name), None)
    identity = twin.id if twin else record.id
    taken = _user_data(join, sightings, twin)
    payload, names = completed(record.payload, identity=identity, user_data=taken, options=options)
    digests = dict.fromkeys((*record.person_digests, *(each for found in sightings for each in found.person_digests)))
    findings = [each for each in record.findings if each != _NO_USER_AGENT or "client_user_agent" not in names]
    return record._replace(
        id=identity,
        payload=payload,
        pending=None,
        person_digests=tuple(digests),
        facts=record.facts._replace(match_keys=record.facts.match_keys | bits_of(names)),
        findings=(*findings, f"joined:{match.kind.name.lower()}"),
    )


def _user_data(join: Join, sightings: Sequence[Sighting], twin: Sighting | None) -> dict[str, str]:
    """Return the visitor's data that the event may take; nothing if the server names another browser."""
    browser = _values(join.keys, JoinKind.BROWSER)
    if browser and not any(browser & _values(each.keys, JoinKind.BROWSER) for each in sightings):
        return {}
    latest = twin or sightings[-1]
    found: dict[str, str] = {}
    if join.takes != "nothing":
        # The click id of the earliest sighting that has one, not one with which the visitor came back from a payment
        # app.
        found |= {"fbp": latest.fbp, "fbc": _first(sightings, lambda each: each.fbc)}
    if join.takes == "all":
        found |= {"client_ip_address": latest.address, "client_user_agent": latest.user_agent}
    return found


def _first(sightings: Iterable[Sighting], value: Callable[[Sighting], str]) -> str:
    return next((text for each in sightings if (text := value(each))), "")
