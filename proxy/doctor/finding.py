"""What an examination says about running a configuration here.

A finding has a code, as a condition has; by this code the catalogue tells how serious it is, why it matters and how to
mend it. When it began is not known, as an examination looks only once.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from proxy.config.schema import Settings
from proxy.doctor.catalogue import ROWS
from proxy.doctor.catalogue.row import CatalogueRow, Seriousness


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the owner should know; its code stands in the catalogue."""

    code: str
    subject: str
    """What it is about: the path of a setting, a public address, a pixel; empty when it is about this machine."""
    seen: str
    """What was seen; in words for people, without any secret."""
    paste: str = ""
    """Lines to paste that mend it; empty when only the owner can know them."""

    def __post_init__(self) -> None:
        """Refuse a code that is not in the catalogue.

        Raises:
            KeyError: for such a code.
        """
        ROWS[self.code]

    @property
    def row(self) -> CatalogueRow:
        """What the catalogue says of it."""
        return ROWS[self.code]

    @property
    def failing(self) -> bool:
        """Whether the check fails for it: events would be lost or leak."""
        return self.row.seriousness is Seriousness.FAILURE

    def __str__(self) -> str:
        """Return what was seen, and where."""
        return f"{self.subject}: {self.seen}" if self.subject else self.seen


def is_for_meta(settings: Settings) -> bool:
    """Tell whether events go to Meta itself, not to a simulator."""
    host = urlsplit(settings.graph.url).hostname or ""
    return host == "facebook.com" or host.endswith(".facebook.com")
