"""Shares of what is partly not known: of what is known, and between which bounds the truth lies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, each between 0 and 1."""

    share: float | None
    """Of those of which it is known; None where it is known of none."""
    least: float
    """Of all, if what is not known is no part of it."""
    most: float
    """Of all, if what is not known is part of it."""


def share_of(part: int, known: int, unknown: int, possible: int | None = None) -> Share | None:
    """Return a share; None where there is nothing to have a share of.

    Args:
        part: How many are known to be part of it.
        known: Of how many it is known whether they are.
        unknown: Of how many it is not.
        possible: How many of the latter may be part of it; all, if not said.
    """
    everything = known + unknown
    if not everything:
        return None
    most = part + (unknown if possible is None else possible)
    return Share(part / known if known else None, part / everything, most / everything)
