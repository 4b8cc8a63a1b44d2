"""Whether Meta takes the tokens of the configuration, and for how long it takes them and the version of Graph."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from proxy.doctor.finding import Finding
from proxy.graph.law import VERSION_ENDS
from proxy.graph.token_health import TokenHealth
from proxy.watch.graph_versions import version_end

_TOKEN_DAYS = 14
_WRITING = ("ads_management", "business_management")
"""Tokens for the Conversions API have one or both of these scopes; Meta's page on it names no scope."""
_TOKEN_ERROR_CODES = ("code 190", "code 102")
"""How an error begins with which Graph says that the token itself is wrong (Graph API, error codes)."""


def version_findings(version: str, now: int) -> Iterator[Finding]:
    """Yield what is wrong with a version of Graph; ``now`` is the current time in milliseconds."""
    paste = f'version = "{next(iter(VERSION_ENDS))}"'
    if end := version_end(version, now):
        code = "version_over" if end.days < 0 else "version_ends_soon"
        yield Finding(code, "graph.version", f"{version}: Meta serves it until {end.day} at the latest", paste)
    elif version not in VERSION_ENDS:
        seen = f"{version} is not among {', '.join(VERSION_ENDS)}"
        yield Finding("version_unknown", "graph.version", seen, paste)


def token_health_findings(pixel: str, health: TokenHealth, now: int) -> Iterator[Finding]:
    """Yield what is wrong with the token of a pixel.

    Args:
        pixel: Its id.
        health: What Graph said of the token.
        now: The current time in milliseconds.
    """
    subject = f"pixel {pixel}"
    if health.is_valid is False or health.error.startswith(_TOKEN_ERROR_CODES):
        yield Finding("token_refused", subject, health.error or "Meta says that it is not valid")
    elif health.is_valid is None:
        yield Finding("token_unseen", subject, health.error or "Meta does not tell")
    elif not _may_write(health):
        seen = f"it may {', '.join(health.scopes)}, and neither {' nor '.join(_WRITING)}"
        yield Finding("token_scopes", subject, seen)
    if health.is_valid and health.ends_at and (days := (_day(health.ends_at) - _day(now)).days) <= _TOKEN_DAYS:
        code = "token_refused" if days < 0 else "token_ends_soon"
        yield Finding(code, subject, f"its token ends on {_day(health.ends_at)}")


def _may_write(health: TokenHealth) -> bool:
    """Tell whether a token's scopes let it write; True as well if Meta tells no scopes, as nothing is known then."""
    return not health.scopes or any(scope in _WRITING for scope in health.scopes)


def _day(moment: int) -> date:
    """Return the UTC day of a moment in milliseconds; the last day of the calendar if the moment is beyond that."""
    try:
        return datetime.fromtimestamp(moment / 1000, UTC).date()
    except (ValueError, OverflowError, OSError):
        return date.max
