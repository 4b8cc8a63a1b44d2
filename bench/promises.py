"""Figures of a run beside what was promised of them."""

from typing import NamedTuple


class Promise(NamedTuple):
    """A row of the table."""

    name: str
    value: float
    bound: str = ""
    """What was promised of it."""
    holds: bool = True

    def cells(self) -> tuple[str, str, str, str]:
        """Return what is printed."""
        return self.name, f"{self.value:,.0f}", self.bound, ("" if not self.bound else "ok" if self.holds else "MISSED")


def exactly(name: str, value: int, wanted: int) -> Promise:
    """Return a promise that a number is the one wanted."""
    return Promise(name, value, f"{wanted:,}", value == wanted)


def at_most(name: str, value: float, most: float) -> Promise:
    """Return a promise that a number is not beyond a bound."""
    return Promise(name, value, f"<= {most:,.0f}", value <= most)
