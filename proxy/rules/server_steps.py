"""What happens to each event of a server's request: the steps that ``server.SERVER_STEPS`` lists, in their order.

What Graph would refuse is refused here, in Graph's words; what our settings forbid is dropped, without telling the
sender. A step refuses by raising.
"""

from proxy.graph import law
from proxy.model.event import DropReason
from proxy.model.units import DAY_MS
from proxy.rules import limits, server_limits
from proxy.rules.payload import labels
from proxy.rules.payload.custom_data import checked
from proxy.rules.selection import wants
from proxy.rules.server_case import ServerEventCase
from proxy.rules.server_person import person_of_server
from proxy.rules.server_wire.values import RefusedValueError

_RESTRICTED_DATA = ("value", "currency")
_LDU = (("LDU",), 0, 0)


def time(event_case: ServerEventCase) -> None:
    """Refuse an event that is too old for its action source, or in the future; a clock may be a little ahead of ours.

    Raises:
        RefusedValueError: with subcode 2804003 or 2804004.
    """
    hit, now = event_case.hit, event_case.case.request.now
    age, most = now - hit.time_s * 1000, law.max_age_ms(hit.action_source)
    if age > most - limits.DELIVERY_MS:
        accepted = f"{most // DAY_MS} days back at most, less an hour for the delivery"
        why = f"event_time: {hit.time_s} is {age // 3_600_000} hours ago; accepted: {accepted}"
        raise RefusedValueError(why, "event_time", law.TOO_OLD)
    if age < -server_limits.FUTURE_S * 1000:
        why = f"event_time: {hit.time_s} is {-age // 1000} s ahead; accepted: {server_limits.FUTURE_S} s at most"
        raise RefusedValueError(why, "event_time", law.IN_THE_FUTURE)
    event_case.time_s = min(hit.time_s, now // 1000)


def custom_data(event_case: ServerEventCase) -> None:
    """Read the custom data as Meta does, and refuse a Purchase without what Meta requires of it.

    Raises:
        RefusedValueError: with subcode 2804009 or 2804011.
    """
    hit = event_case.hit
    event_case.data, event_case.findings = checked(hit.name, hit.custom_data)
    if hit.name != "Purchase":
        return
    if "value" not in event_case.data:
        raise RefusedValueError(_required(hit.custom_data, "value", "a number"), "custom_data.value", law.NO_VALUE)
    if "currency" not in event_case.data:
        why = _required(hit.custom_data, "currency", "three letters of ISO 4217")
        raise RefusedValueError(why, "custom_data.currency", law.NO_CURRENCY)
    if "item_number" not in event_case.data:  # else it is one line of an order, as tills send them
        event_case.order_id = event_case.data.get("order_id", "")


def _required(data: object, member: str, accepted: str) -> str:
    is_there = isinstance(data, dict) and data.get(member) not in (None, "")
    return f"custom_data.{member}: {'unusable' if is_there else 'missing'}; accepted for a Purchase: {accepted}"


def source(event_case: ServerEventCase) -> None:
    """Refuse a messaging event whose name Meta does not list, and an app's event that does not name its device.

    Raises:
        RefusedValueError: with subcode 2804066 or 2804043.
    """
    hit = event_case.hit
    if hit.action_source == "business_messaging" and hit.name not in law.MESSAGING_EVENTS:
        accepted = ", ".join(sorted(law.MESSAGING_EVENTS))
        why = f"event_name: not for business_messaging; accepted: {accepted}"
        raise RefusedValueError(why, "event_name", law.NO_MESSAGING_EVENT)
    if hit.action_source == "app":
        slots = hit.more.get("app_data", {}).get("extinfo") or [""] * law.EXTINFO
        if slots[0] not in law.EXTINFO_VERSIONS or not slots[law.EXTINFO_SYSTEM]:
            accepted = '"a2" or "i2" in slot 0, and the version of the system in slot 4'
            why = f"app_data.extinfo: incomplete; accepted: {accepted}"
            raise RefusedValueError(why, "app_data.extinfo", law.NO_DEVICE)


def match_keys(event_case: ServerEventCase) -> None:
    """Hash what is raw, and refuse what Meta would refuse: keys that fit too many people, and invalid lead ids.

    Raises:
        RefusedValueError: with subcode 2804050, or without one.
    """
    case, hit = event_case.case, event_case.hit
    for lead_id in hit.user_data.get("lead_id", ()):
        _check_lead_id(lead_id)
    event_case.person = person_of_server(hit, case.policy, now=case.request.now, effort=event_case.effort)
    if event_case.person.is_too_broad:
        findings = ", ".join((*hit.findings, *event_case.person.findings))
        about = f" ({findings})" if findings else ""
        why = f"user_data: too little to tell a person{about}; accepted: em, ph, external_id, fbp or fbc, for example"
        raise RefusedValueError(why, "user_data", law.LITTLE_IDENTITY)


def _check_lead_id(text: str) -> None:
    if not law.LEAD_ID.fullmatch(text):
        why = "user_data.lead_id: not 15 to 17 digits; accepted: the id that Meta gave the lead, not hashed"
        raise RefusedValueError(why, "user_data.lead_id")


def contact_data(event_case: ServerEventCase) -> None:
    """Drop the event when its name or id names a person: both are stored and sent in plain text."""
    event_case.hit = labels.without_contact_data(event_case.hit, event_case.effort)
    if labels.REDACTED in (event_case.hit.name, event_case.hit.id):
        event_case.drop(DropReason.CONTACT_DATA, labels.findings(event_case.hit))


def permission(event_case: ServerEventCase) -> None:
    """Set the data processing options of the event.

    The queue checks the rest later: suppressions by the person digests of the record, and whether the visitor is
    unknown when it looks for the sighting.
    """
    site, hit = event_case.case.policy.site, event_case.hit
    is_silent = not (hit.options and hit.options[0])
    event_case.options = _LDU if site.ldu and is_silent else hit.options


def selection(event_case: ServerEventCase) -> None:
    """Drop the event if the pixel does not want it; on a site with sensitive data drop every custom event."""
    case, name = event_case.case, event_case.hit.name
    if not wants(case.pixel.events, name):
        event_case.drop(DropReason.EXCLUDED)
    elif case.policy.site.sensitive == "restricted":
        if name not in law.STANDARD_EVENTS:
            event_case.drop(DropReason.RESTRICTED)
        event_case.data = {key: event_case.data[key] for key in _RESTRICTED_DATA if key in event_case.data}
