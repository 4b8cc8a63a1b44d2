"""Shares of a whole that is partly unknown: the share of the known part, and the bounds of the true share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, each between 0 and 1."""

    share: float | None
    """The share among those that are known; None when none is known."""
    least: float
    """The share of all, if none of the unknown belongs to the part."""
    most: float
    """The share of all, if all of the unknown that may belong to the part do."""


def share_of(part: int, known: int, unknown: int, possible: int | None = None) -> Share | None:
    """Return a share; None when the whole is empty.

    Args:
        part: How many are known to belong to the part.
        known: How many are known to belong to it or not.
        unknown: How many others there are.
        possible: How many of these others may belong to the part; None: all.
    """
    everything = known + unknown
    if not everything:
        return None
    most = part + (unknown if possible is None else possible)
    return Share(part / known if known else None, part / everything, most / everything)
