"""Sums of money: exact, each in its currency, never added up across currencies or pixels."""

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.model.event_facts import VALUE_SCALE


@dataclass(frozen=True, slots=True)
class Money:
    """The value of some events of one pixel, in one currency."""

    pixel: str
    currency: str
    events: int
    value: str
    """In units of the currency, a decimal fraction with two to four digits after the point."""


def amounts(sums: Mapping[tuple[str, str], tuple[int, int]]) -> tuple[Money, ...]:
    """Return sums by pixel and currency as ``Money``, in the order of these; sums of no event are left out."""
    return tuple(Money(*key, events, decimal(total)) for key, (events, total) in sorted(sums.items()) if events)


def decimal(ten_thousandths: int) -> str:
    """Return an amount in ten-thousandths as a decimal fraction with two to four digits after the point."""
    whole, rest = divmod(abs(ten_thousandths), VALUE_SCALE)
    digits = f"{rest:04}"
    short = digits[:2] + digits[2:].rstrip("0")
    return f"{'-' if ten_thousandths < 0 else ''}{whole}.{short}"
