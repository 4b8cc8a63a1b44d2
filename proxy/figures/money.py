"""Sums of money: exact, each in its currency, never added up across currencies or pixels."""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.model.event_facts import PARTS


@dataclass(frozen=True, slots=True)
class Money:
    """What some events of one pixel were worth."""

    pixel: str
    currency: str
    events: int
    value: str
    """In units of the currency, a decimal fraction with two to four digits behind the point."""


def amounts(sums: Mapping[tuple[str, str], tuple[int, int]]) -> tuple[Money, ...]:
    """Return sums by pixel and currency, each with how many events it is of, in a fixed order."""
    return tuple(Money(*key, events, decimal(total)) for key, (events, total) in sorted(sums.items()) if events)


def decimal(ten_thousandths: int) -> str:
    """Return an amount as a decimal fraction."""
    whole, rest = divmod(abs(ten_thousandths), PARTS)
    digits = f"{rest:04}"
    short = digits[:2] + digits[2:].rstrip("0")
    return f"{'-' if ten_thousandths < 0 else ''}{whole}.{short}"
