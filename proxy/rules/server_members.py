"""Members of a server's event besides those that every event has: what of them may leave."""

from collections.abc import Mapping
from typing import Any

from proxy.model.event import Redaction
from proxy.rules.effort import Effort
from proxy.rules.payload.labels import REDACTED
from proxy.rules.payload.names import Allowed
from proxy.rules.payload.redact import clean_data
from proxy.rules.payload.secret_shapes import shape_of

# The members that Meta documents, and that its SDKs write: ids, and technical words and codes. Members of a site's own
# are cleaned like custom data.
_DOCUMENTED: Mapping[str, frozenset[str]] = {
    "app_data": frozenset({
        "advertiser_tracking_enabled", "application_tracking_enabled", "campaign_ids", "consider_views", "extinfo",
        "include_dwell_data", "include_video_data", "installer_package", "receipt_data", "url_schemes", "vendor_id",
        "windows_attribution_id",
    }),
    "original_event_data": frozenset({"event_id", "event_name", "event_time", "order_id"}),
    "attribution_data": frozenset({
        "ad_id", "adset_id", "attr_window", "attribution_method", "attribution_model", "attribution_setting",
        "attribution_share", "attribution_source", "attribution_value", "auditing_token", "campaign_id",
        "decline_reason", "linkage_key", "partner_client_id", "scope", "total_credit", "touchpoint_id", "touchpoint_ts",
        "touchpoint_type", "visit_time",
    }),
}  # fmt: skip
_WORDS = frozenset(
    {"messaging_channel", "customer_segmentation", "advanced_measurement_table", "advertiser_tracking_enabled"}
)
_RECEIPT = "receipt_data"
"""The receipt of an app store, in base64: longer than any text that is read, and not written by a person."""
_RESTRICTED = frozenset({"app_data", "messaging_channel", "advertiser_tracking_enabled"})
"""Without these Graph refuses the event."""


def clean_members(
    members: Mapping[str, Any], sensitive: str, allowed: Allowed, effort: Effort
) -> tuple[dict[str, Any], list[Redaction]]:
    """Return what of the members may leave, and what had to be taken out.

    Args:
        members: By name, in Meta's form.
        sensitive: The site's setting: ``"restricted"`` keeps only what Graph requires.
        allowed: What else the site lets leave.
        effort: What is left of the event's budget.
    """
    is_restricted = sensitive == "restricted"
    clean: dict[str, Any] = {}
    removed: list[Redaction] = []
    others: dict[str, Any] = {}
    for name, value in members.items():
        if is_restricted and name not in _RESTRICTED:
            continue
        if name in _DOCUMENTED and isinstance(value, dict):
            clean[name] = _documented(name, value, allowed, effort, removed, is_restricted=is_restricted)
        elif name in _WORDS:
            clean[name] = _public(value, name, effort, removed)
        else:
            others[name] = value
    data, what, _ = clean_data(others, allowed, effort)
    removed += [Redaction(shape, "event") for shape in what]
    return {**data, **clean}, removed


def _documented(  # noqa: PLR0913 - what a member is read by
    place: str,
    members: Mapping[str, Any],
    allowed: Allowed,
    effort: Effort,
    removed: list[Redaction],
    *,
    is_restricted: bool,
) -> dict[str, Any]:
    known, others = {}, {}
    for name, value in members.items():
        if name not in _DOCUMENTED[place]:
            others[name] = value
        else:
            known[name] = value if name == _RECEIPT else _public(value, place, effort, removed)
    if is_restricted:
        return known
    data, what, _ = clean_data(others, allowed, effort)
    removed += [Redaction(shape, place) for shape in what]
    return {**data, **known}


def _public(value: Any, place: str, effort: Effort, removed: list[Redaction]) -> Any:
    """Return a documented value; a text in it that names somebody beyond doubt is redacted."""
    if isinstance(value, dict):
        pairs = [_public([name, member], place, effort, removed) for name, member in value.items()]
        return dict(pairs)
    if isinstance(value, list):
        return [_public(member, place, effort, removed) for member in value]
    shape = shape_of(value, effort, is_id=True) if isinstance(value, str) else None
    if shape is None:
        return value
    removed.append(Redaction(shape, place))
    return REDACTED
