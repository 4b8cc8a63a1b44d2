"""A row of the catalogue of findings."""

from enum import StrEnum
from typing import NamedTuple


class Seriousness(StrEnum):
    """How serious a finding is, the worst first."""

    FAILURE = "failure"
    """Events are lost or wrong, or something leaks; the check fails."""
    UNSEEN = "unseen"
    """It could not be looked at, so nobody knows."""
    DOUBT = "doubt"
    """Right in some places, a loss in others."""
    NOTE = "note"
    """Good to know."""


FAILURE, UNSEEN, DOUBT, NOTE = Seriousness


class CatalogueRow(NamedTuple):
    """What is known of a finding before it is found."""

    seriousness: Seriousness
    what: str
    """The finding in a few words."""
    why: str
    """Why it matters."""
    mend: str
    """How to mend it."""
