"""Single values as backends send them, in the one form that Graph documents.

Languages write nulls, numbers and booleans in their own ways: PHP makes ids numbers, forms make everything text,
Segment sends times in ISO 8601 and flags as 0 and 1. What is certain is put right; what is not is refused, never
guessed.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import orjson

from proxy.graph import law
from proxy.rules.json_text import parsed_exactly
from proxy.rules.server_wire.bounds import is_bounded

# The numbers 1 and 0 are found too, since they equal True and False.
_FLAGS: Mapping[object, bool] = {True: True, "1": True, "true": True, False: False, "0": False, "false": False}
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,9})?", re.ASCII)
_LONGEST_TIME = 40
_LONGEST_ADDRESS = 45
_BLANK_BEFORE_OFFSET = re.compile(r" (?=[+-][0-9]{2}:?[0-9]{2}$)", re.ASCII)
# In seconds, this is the year 5138; in milliseconds it was 1973.
_MILLISECONDS = 10**11
_SLOTS = {str(slot): slot for slot in range(law.EXTINFO)}
_MOST_INTEGER, _LEAST_INTEGER = 2**64 - 1, -(2**63)
# Meta's parameter builders may add their mark repeatedly; only so many characters at the end are looked at.
_APPENDIX = re.compile(rf"(?:{law.APPENDIX}){{1,3}}\Z", re.ASCII)
_ANY_APPENDIX = re.compile(rf"(?:{law.APPENDIX}|{law.OLD_APPENDIX}){{1,3}}\Z", re.ASCII)
_LONGEST_APPENDIX = 27


class RefusedValueError(ValueError):
    """An event holds what Graph would not take; the text names the member and what is accepted."""

    def __init__(self, why: str, field: str, subcode: int = 0) -> None:
        """Refuse.

        Args:
            why: A message for the sender, without contact data.
            field: The member.
            subcode: The subcode that Graph would give, or 0.
        """
        super().__init__(why)
        self.field = field
        self.subcode = subcode


def time_of(claimed: Any, field: str = "event_time") -> int:
    """Return a time in Unix seconds, from a number, from digits, or from ISO 8601 with an offset.

    Raises:
        RefusedValueError: when it is no time, or in milliseconds.
    """
    seconds = _seconds(claimed)
    if seconds is None:
        accepted = "Unix seconds, or ISO 8601 with an offset such as Z or +02:00"
        raise RefusedValueError(f"{field}: {describe_value(claimed)}; accepted: {accepted}", field)
    if abs(seconds) >= _MILLISECONDS:
        why = (
            f"{field}: {describe_value(claimed)} is in milliseconds, it seems, or far from now; accepted: Unix seconds"
        )
        raise RefusedValueError(why, field, law.IN_THE_FUTURE)
    return seconds


def _seconds(claimed: Any) -> int | None:
    if isinstance(claimed, str):
        text = claimed.strip()
        return int(float(text)) if _WHOLE.fullmatch(text) else _seconds_of_iso(text)
    if isinstance(claimed, bool) or not isinstance(claimed, int | float):
        return None
    try:
        return int(claimed)
    except (OverflowError, ValueError):  # of infinity and NaN, which no JSON holds but a caller's value may be
        return None


def _seconds_of_iso(text: str) -> int | None:
    if not 10 < len(text) <= _LONGEST_TIME:
        return None
    try:
        time = datetime.fromisoformat(_BLANK_BEFORE_OFFSET.sub("", text))
        return int(time.timestamp() // 1) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def flag_of(claimed: Any, field: str) -> bool | None:
    """Return a boolean, in whatever form a language writes it; None if there is no value.

    Raises:
        RefusedValueError: when it is neither yes nor no.
    """
    word = claimed.strip().lower() if isinstance(claimed, str) else claimed
    if word is None or word == "":
        return None
    try:
        return _FLAGS[word]
    except (KeyError, TypeError):
        raise RefusedValueError(f"{field}: {describe_value(claimed)}; accepted: true or false", field) from None


def text_or_number(claimed: Any) -> str | None:
    """Return a text as it is, and a whole number as text, exactly; None for anything else."""
    if isinstance(claimed, str):
        return claimed
    if isinstance(claimed, float) and claimed.is_integer() and abs(claimed) < 2**53:
        claimed = int(claimed)
    return str(claimed) if isinstance(claimed, int) and not isinstance(claimed, bool) else None


def object_of(claimed: Any, field: str) -> Mapping[str, Any]:
    """Return an object, given as such or as JSON text; an empty one for null, "", and empty lists, as PHP writes them.

    Raises:
        RefusedValueError: when it is something else.
    """
    value = from_json_text(claimed)
    if isinstance(value, dict):
        return value
    if value in (None, "", []):
        return {}
    raise RefusedValueError(f"{field}: {describe_value(claimed)}; accepted: an object", field)


def from_json_text(claimed: Any) -> Any:
    """Return the object or list that JSON text holds; anything else as it is."""
    if isinstance(claimed, str) and claimed.lstrip()[:1] in ("{", "["):
        try:
            value = parsed_exactly(claimed.encode(errors="replace"))
        except (ValueError, RecursionError):
            return claimed
        return value if is_bounded(value) else claimed
    return claimed


def without_nulls(value: Any) -> Any:
    """Return a value without nulls at any level, and without lists that hold nothing else.

    Whole numbers beyond 64 bits become text, since JSON's writers and readers do not agree on them.
    """
    if not isinstance(value, dict | list):
        return _without_nulls(value)
    try:
        written = orjson.dumps(value)
    except TypeError:  # a number beyond 64 bits, for example
        return _without_nulls(value)
    # Most values hold no nulls, and writing a value as JSON costs a tenth of walking through it.
    return _without_nulls(value) if b"null" in written or b"[]" in written else value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        members = ((name, _without_nulls(member)) for name, member in value.items())
        return {name: member for name, member in members if member is not None}
    if isinstance(value, list):
        return [member for member in map(_without_nulls, value) if member is not None] or None
    if isinstance(value, int) and not _LEAST_INTEGER <= value <= _MOST_INTEGER:
        return str(value)
    return value


def slots_of(claimed: Any) -> list[str]:
    """Return the 16 texts of ``extinfo``, from a list that may be short or have nulls, or from an object."""
    value = from_json_text(claimed)
    slots = [""] * law.EXTINFO
    members: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, list):
        members = list(enumerate(value))
    elif isinstance(value, dict):
        members = [(_SLOTS[name], member) for name, member in value.items() if name in _SLOTS]
    for slot, member in members:
        if slot < law.EXTINFO:
            slots[slot] = _slot(member)
    return slots


def _slot(member: Any) -> str:
    """Return a slot as text; the density of a screen may be a fraction."""
    text = text_or_number(member)
    if text is None and isinstance(member, float):
        return repr(member)
    return text or ""


def without_appendix(text: str) -> str:
    """Return an address of a page without the mark that Meta's libraries leave at its end."""
    return text[:-_LONGEST_APPENDIX] + _APPENDIX.sub("", text[-_LONGEST_APPENDIX:])


def ip_address_of(text: str) -> IPv4Address | IPv6Address | None:
    """Return an IP address without the marks of Meta's libraries, which no address ends with; None for other text."""
    try:
        address = ip_address(_ANY_APPENDIX.sub("", text.strip()[: _LONGEST_ADDRESS + _LONGEST_APPENDIX]))
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def describe_value(claimed: Any) -> str:
    """Name a value without repeating what may be personal: its type, numbers, and short plain words only."""
    if claimed is None:
        return "missing"
    if isinstance(claimed, bool | int | float):
        return repr(claimed)[:40]
    if isinstance(claimed, str) and len(claimed) <= 25 and all(char.isalnum() or char in "_-:." for char in claimed):
        return repr(claimed)
    kind = {"dict": "an object", "list": "a list", "str": "a text"}.get(type(claimed).__name__, "a value")
    return f"{kind} of {len(claimed)}" if isinstance(claimed, str | list | dict) else kind
