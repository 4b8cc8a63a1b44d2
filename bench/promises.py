"""A table that compares figures of a run with what was promised."""

from typing import NamedTuple


class Promise(NamedTuple):
    """A row of the table: a figure, its bound, and whether the bound holds."""

    name: str
    value: float
    bound: str = ""
    """The bound as text; empty if nothing was promised."""
    holds: bool = True

    def cells(self) -> tuple[str, str, str, str]:
        """Return the cells of the row."""
        return self.name, f"{self.value:,.0f}", self.bound, ("" if not self.bound else "ok" if self.holds else "MISSED")


def exactly(name: str, value: int, wanted: int) -> Promise:
    """Return a row for a number that must equal ``wanted``."""
    return Promise(name, value, f"{wanted:,}", value == wanted)


def at_most(name: str, value: float, most: float) -> Promise:
    """Return a row for a number that must not exceed ``most``."""
    return Promise(name, value, f"<= {most:,.0f}", value <= most)
