"""What a check says about running a configuration here.

A finding has the fields of a condition (``subject``, ``detail``, ``failing``) but for two: it began at no known time,
as a check looks once; and it needs no code, as only people read it, on the terminal, so its words stand here.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from proxy.config.schema import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the owner should know before the proxy runs."""

    subject: str
    """What it is about: the path of a setting, or a pixel; empty when it is about this machine."""
    detail: str
    """What is wrong or doubtful, and what is better; in words for people, without any secret."""
    failing: bool = False
    """True when the check fails for it: events would be lost or leak."""

    def __str__(self) -> str:
        """Return the line that the check prints."""
        return f"{self.subject}: {self.detail}" if self.subject else self.detail


def is_for_meta(settings: Settings) -> bool:
    """Tell whether events go to Meta itself, not to a simulator."""
    host = urlsplit(settings.graph.url).hostname or ""
    return host == "facebook.com" or host.endswith(".facebook.com")
