"""``app_data`` as SDKs send it, in the form that Graph documents (Meta, server event parameters)."""

from collections.abc import Mapping
from typing import Any

from proxy.rules.server_wire.values import flag_of, slots_of, text_or_number, without_nulls

_FLAGS = frozenset({
    "advertiser_tracking_enabled", "application_tracking_enabled", "consider_views", "include_dwell_data",
    "include_video_data",
})  # fmt: skip
_TEXTS = frozenset({
    "campaign_ids", "install_referrer", "installer_package", "receipt_data", "vendor_id", "windows_attribution_id",
})  # fmt: skip


def app_data_of(claimed: Mapping[str, Any]) -> dict[str, Any]:
    """Return flags as booleans, ids as text, the 16 slots of ``extinfo``, and the rest without nulls.

    Raises:
        RefusedValueError: when a flag is neither yes nor no.
    """
    read = {name: _member(name, value) for name, value in claimed.items() if value is not None}
    return {name: value for name, value in read.items() if value is not None}


def _member(name: str, value: Any) -> Any:
    if name == "extinfo":
        return slots_of(value)
    if name in _FLAGS:
        return flag_of(value, f"app_data.{name}")
    if name in _TEXTS and (text := text_or_number(value)) is not None:
        return text
    return without_nulls(value)
