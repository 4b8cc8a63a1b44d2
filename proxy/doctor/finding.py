"""One thing that ``check`` says."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from proxy.config.schema import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the owner should know; ``failed`` makes the check fail."""

    text: str
    failed: bool = False


def is_for_meta(settings: Settings) -> bool:
    """Tell whether events go to Meta itself, not to a simulator."""
    host = urlsplit(settings.graph.url).hostname or ""
    return host == "facebook.com" or host.endswith(".facebook.com")
