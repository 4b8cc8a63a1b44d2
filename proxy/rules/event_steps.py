"""What happens to each event of a request: the steps that ``browser.EVENT_STEPS`` lists, in their order.

A step that drops the event for a pixel takes the pixel off the event's list, so the first reason to drop it decides.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from proxy.config.schema import Pixel
from proxy.graph.law import MAX_AGE_MS, STANDARD_EVENTS
from proxy.model.event import DropReason
from proxy.model.request import Hit, RefusedEvent
from proxy.rules import limits
from proxy.rules.case import Case, EventCase, EventStep
from proxy.rules.effort import spend_on_odd_data
from proxy.rules.faults import fault
from proxy.rules.joins import sightings
from proxy.rules.orders import ONCE_PER_ORDER
from proxy.rules.payload import labels
from proxy.rules.payload.custom_data import WORTH, CheckedData, check_custom_data
from proxy.rules.payload.shape_patterns import has_suspects_of_ids
from proxy.rules.people import person_for
from proxy.rules.selection import wants

_ACCEPTED_AGE_MS = MAX_AGE_MS - limits.DELIVERY_MS
# How many different custom data of a body are remembered; in a body with more, they hardly repeat.
_MOST_REMEMBERED = 16


def run_event_steps(case: Case, hit: Hit, steps: Iterable[EventStep]) -> None:
    """Take an event through its steps; an unforeseen error refuses this event only.

    Args:
        case: The request that it came in.
        hit: The event as the page claims it.
        steps: The steps, in their order.
    """
    event_case = EventCase(case, hit)
    try:
        for _name, run, _drops, always in steps:  # unpacked, as that is faster than four names of a tuple
            if event_case.pixels or always:
                run(event_case)
    except Exception as error:  # noqa: BLE001 - whatever one event brought must not cost its neighbours
        case.refused.append(RefusedEvent(hit.place, hit.id, "cannot be read"))
        case.faults.append(fault(error))


def name_and_id(event_case: EventCase) -> None:
    """Redact a name or an id that names a person, before anything is noted of the event; then find out its time.

    The difference of the browser's two times says how long ago it happened, even if the browser's clock is wrong. A
    time in the future becomes now.
    """
    case, claimed, now = event_case.case, event_case.hit, event_case.case.request.now
    event_case.claimed_id = claimed.id
    words = f"{claimed.name} {claimed.id}"
    if not words.isascii() or has_suspects_of_ids(words):  # nearly all pass this coarse look
        event_case.hit = labels.without_contact_data(claimed, case.effort)
    event_case.time = min(now, now - (case.visit.sent - claimed.at))


def pixels(event_case: EventCase) -> None:
    """Keep the pixels that the site lists."""
    hit, listed = event_case.hit, event_case.case.policy.pixels
    event_case.pixels = [listed[pixel_id] for pixel_id in hit.pixels if pixel_id in listed]
    event_case.unknown_pixels = len(hit.pixels) - len(event_case.pixels)
    if event_case.unknown_pixels:
        stranger = next(pixel_id for pixel_id in hit.pixels if pixel_id not in listed)
        event_case.unknown_pixel = event_case.drop_row(stranger, DropReason.UNKNOWN_PIXEL)


def permission(event_case: EventCase) -> None:
    """Drop the event when nothing of the visit may leave.

    The drop says nothing of the visitor, except why it is taken for a machine. If servers report orders too, they are
    left a note that the visitor refused.
    """
    case = event_case.case
    if case.forbidden is not None:
        if case.policy.joins_orders and event_case.hit.name in ONCE_PER_ORDER:
            sightings.add_refusal_sighting(event_case)
        bot = (f"bot:{case.bot}",) if case.forbidden is DropReason.BOT else ()
        _drop_all(event_case, case.forbidden, bot)


def contact_data(event_case: EventCase) -> None:
    """Drop the event when its name or id was redacted: under another name or id Meta would count it twice."""
    if labels.REDACTED in (event_case.hit.name, event_case.hit.id):
        _drop_all(event_case, DropReason.CONTACT_DATA, labels.findings(event_case.hit))


def time(event_case: EventCase) -> None:
    """Drop an event that is too old for Graph, or would be too old by the time it is delivered."""
    if event_case.case.request.now - event_case.time > _ACCEPTED_AGE_MS:
        _drop_all(event_case, DropReason.TOO_OLD)


def selection(event_case: EventCase) -> None:
    """Drop the event for the pixels that do not want it; on a site with sensitive data drop every custom event."""
    policy, name = event_case.case.policy, event_case.hit.name
    if not policy.takes_all:
        wanting = [pixel for pixel in event_case.pixels if wants(pixel.events, name)]
        if len(wanting) < len(event_case.pixels):
            ids = {pixel.id for pixel in wanting}
            _drop(event_case, [pixel for pixel in event_case.pixels if pixel.id not in ids], DropReason.EXCLUDED)
            event_case.pixels = wanting
    if policy.site.sensitive == "restricted" and name not in STANDARD_EVENTS:
        _drop_all(event_case, DropReason.RESTRICTED)


def custom_data(event_case: EventCase) -> None:
    """Read the custom data as Meta does, and drop a Purchase without what Meta requires of it.

    Source: Meta, custom data parameters; subcodes 2804009 and 2804011. That other events with a value but no currency
    are refused (2804023) is said by a third party only, so they are sent.
    """
    hit = event_case.hit
    claimed = hit.data
    is_restricted = event_case.case.policy.site.sensitive == "restricted"
    if is_restricted:
        claimed = _worth_of(claimed)
    effort = event_case.case.effort
    if effort.left < 0 and effort.has_many_events:
        event_case.is_brief = True
        worth = claimed if is_restricted else _worth_of(claimed)
        event_case.is_unread = len(worth) < len(claimed)
        checked = check_custom_data(hit.name, worth)
    else:
        checked = _checked(event_case, claimed)
    event_case.data, event_case.findings, event_case.value, event_case.currency = checked
    if hit.name != "Purchase":
        return
    if "value" not in event_case.data:
        _drop_all(event_case, DropReason.MISSING_VALUE, event_case.findings)
    elif "currency" not in event_case.data:
        _drop_all(event_case, DropReason.MISSING_CURRENCY, event_case.findings)


def _worth_of(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return value and currency alone: Meta requires them of a Purchase, and they tell nothing of anybody."""
    return {key: data[key] for key in WORTH if key in data}


def _checked(event_case: EventCase, claimed: Mapping[str, Any]) -> CheckedData:
    """Check an event's custom data; data that several events of a body share are checked, and later cleaned, once."""
    case, name = event_case.case, event_case.hit.name
    if not claimed or len(case.visit.hits) == 1:
        return check_custom_data(name, claimed)
    if len(case.checked_data) == _MOST_REMEMBERED:
        return _check(case, name, claimed)
    key = event_case.data_key = (name, orjson.dumps(claimed, default=str))
    found = case.checked_data.get(key)
    if found is None:
        found = case.checked_data[key] = _check(case, name, claimed)
    return found


def _check(case: Case, name: str, claimed: Mapping[str, Any]) -> CheckedData:
    found = check_custom_data(name, claimed)
    if found.findings:
        spend_on_odd_data(case.effort, len(found.findings))
    return found


def match_keys(event_case: EventCase) -> None:
    """Find out who the visitor is for each pixel; drop the event where the keys fit too many people for Meta."""
    for pixel in event_case.pixels:
        person = event_case.case.people.get(pixel.id) or person_for(event_case.case, pixel.id)
        if person.is_too_broad:
            _drop(event_case, (pixel,), DropReason.LITTLE_IDENTITY, person.findings)
            event_case.pixels = [other for other in event_case.pixels if other is not pixel]


def _drop_all(event_case: EventCase, reason: DropReason, findings: tuple[str, ...] = ()) -> None:
    _drop(event_case, event_case.pixels, reason, findings)
    event_case.pixels = ()


def _drop(event_case: EventCase, pixels: Sequence[Pixel], reason: DropReason, findings: tuple[str, ...] = ()) -> None:
    """Note the drop of the event for each of some pixels."""
    event_case.dropped += [event_case.drop_row(pixel.id, reason, findings) for pixel in pixels]
