"""A row of the catalogue of findings."""

from enum import StrEnum
from typing import NamedTuple


class Seriousness(StrEnum):
    """How serious a finding is, the worst first."""

    FAILURE = "failure"
    """Events are lost or wrong, or something leaks; the check fails."""
    UNSEEN = "unseen"
    """Something could not be looked at, so it is not known whether it is right."""
    DOUBT = "doubt"
    """Right in some places, a loss in others."""
    NOTE = "note"
    """Good to know."""


FAILURE, UNSEEN, DOUBT, NOTE = Seriousness


class CatalogueRow(NamedTuple):
    """What all findings with one code have in common."""

    seriousness: Seriousness
    what: str
    """The finding in a few words."""
    why: str
    """Why it matters."""
    mend: str
    """How to mend it."""
