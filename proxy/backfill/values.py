"""Values of spreadsheets: amounts, moments and ids as people and programs write them. Nothing is guessed."""

import re
from datetime import datetime, tzinfo
from typing import Literal

from proxy.backfill.claims import WrongValueError

Decimal = Literal["", ".", ","]

_SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?E[+-]?\d+", re.IGNORECASE | re.ASCII)
_DIGITS = re.compile(r"-?\d+", re.ASCII)
_POINT = re.compile(r"-?(\d+|[1-9]\d{0,2}(,\d{3})+)(\.\d+)?", re.ASCII)
_COMMA = re.compile(r"-?(\d+|[1-9]\d{0,2}(\.\d{3})+)(,\d+)?", re.ASCII)
_AMBIGUOUS = re.compile(r"-?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
_OFFSET = re.compile(r"\s+(?=([+-]\d\d:?\d\d|Z)$)", re.IGNORECASE)
_NAMED_UTC = re.compile(r"\s*(UTC|GMT)$", re.IGNORECASE)
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,?\s+(\d{1,2}:\d\d(?::\d\d)?))?", re.ASCII)
_SLASHED = re.compile(r"\d{1,2}/\d{1,2}/\d{2,4}\b.*", re.ASCII)
_SECONDS = re.compile(r"\d{9,10}", re.ASCII)
_MILLISECONDS = re.compile(r"\d{12,13}", re.ASCII)
_MOST_DIGITS = 18


def cell_text(cell: str) -> str:
    """Return a cell without blanks around it and without the apostrophe by which spreadsheets keep digits as text."""
    text = cell.strip()
    return text[1:] if text[:1] == "'" and text[1:2] not in ("", "'") else text


def id_text(text: str, field: str) -> str:
    """Return an id as it is, unless a spreadsheet has turned it into a number such as 1.23E+12.

    Raises:
        WrongValueError: When it has: most digits are lost then.
    """
    if _SCIENTIFIC.fullmatch(text):
        raise WrongValueError(
            f"{field} was a long number that a spreadsheet turned into one like 1.23E+12, and its digits are lost; "
            "export it again, with the column as text"
        )
    return text


def amount(text: str, field: str, decimal: Decimal = "") -> float:
    """Return an amount of money.

    Args:
        text: Digits, with a decimal point or comma, perhaps with the other of the two between thousands.
        field: The name of the field, for the error text.
        decimal: Which of the two stands before decimals; empty when the text alone must show it.

    Raises:
        WrongValueError: When the text is no amount, or can be read in two ways.
    """
    found = id_text(text, field)
    if not decimal and _AMBIGUOUS.fullmatch(found):
        raise WrongValueError(f"{field} is {found}: thousands or decimals? --decimal says which")
    if len(found) <= _MOST_DIGITS:
        if decimal != "," and _POINT.fullmatch(found):
            return float(found.replace(",", ""))
        if decimal != "." and _COMMA.fullmatch(found):
            return float(found.replace(".", "").replace(",", "."))
    raise WrongValueError(f"{field} must be a number such as 12.50, without a currency sign")


def whole(text: str, field: str, decimal: Decimal = "") -> int:
    """Return a whole number, perhaps with decimals that are all zero.

    Args:
        text: Digits, perhaps with a point or comma between thousands.
        field: The name of the field, for the error text.
        decimal: Which of the two stands before decimals; empty when the text alone must show it.

    Raises:
        WrongValueError: When the text is no whole number, or can be read in two ways, as 1,000 can.
    """
    found = id_text(text, field)
    if _AMBIGUOUS.fullmatch(found):
        found = str(amount(found, field, decimal))
    found = re.sub(r"[.,]0+$", "", found)
    if not _DIGITS.fullmatch(found) or len(found) > _MOST_DIGITS:
        raise WrongValueError(f"{field} must be a whole number")
    return int(found)


def flag(text: str, field: str) -> bool:
    """Return whether a text means yes: ``true``, ``1`` or ``yes``, in any case.

    Raises:
        WrongValueError: When it means neither yes nor no.
    """
    found = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower())
    if found is None:
        raise WrongValueError(f"{field} must be true or false")
    return found


def moment(text: str, zone: tzinfo | None, field: str = "event_time") -> int:
    """Return a moment in Unix seconds.

    Args:
        text: Unix seconds, or a date and time of ISO 8601 as exports write it, or ``31.12.2026 23:59``.
        zone: The zone of texts without an offset; None refuses them.
        field: The name of the field, for the error text.

    Raises:
        WrongValueError: When the text is no moment, or has no offset and ``zone`` is None.
    """
    if _SECONDS.fullmatch(id_text(text, field)):
        return int(text)
    if _MILLISECONDS.fullmatch(text):
        raise WrongValueError(f"{field} is in milliseconds; Meta takes seconds")
    if _SLASHED.fullmatch(text):
        raise WrongValueError(f"{field} {text}: day or month first? Write dates as 2026-12-31")
    found = _read_moment(text, field)
    if found.tzinfo is None and zone is None:
        raise WrongValueError(f"{field} {text} has no offset such as +02:00; --timezone says where its clock stood")
    return _unix_seconds(found if found.tzinfo else found.replace(tzinfo=zone), field)


def _read_moment(text: str, field: str) -> datetime:
    dotted = _DOTTED.fullmatch(text)
    day, month, year, clock = dotted.groups() if dotted else ("", "", "", "")
    iso = f"{year}-{month:0>2}-{day:0>2} {(clock or '0:00'):0>5}" if dotted else _NAMED_UTC.sub("Z", text)
    # 9:05:00 needs its zero; datetime reads only two-digit hours.
    iso = re.sub(r"(?<=[ T])(\d:\d\d)", r"0\1", _OFFSET.sub("", iso))
    try:
        return datetime.fromisoformat(iso)
    except ValueError:
        raise WrongValueError(
            f"{field} must be Unix seconds, or a date and time such as 2026-12-31 23:59:00 +01:00"
        ) from None


def _unix_seconds(found: datetime, field: str) -> int:
    try:
        return int(found.timestamp())
    except (OverflowError, ValueError):
        raise WrongValueError(f"{field} is no moment of our time") from None
