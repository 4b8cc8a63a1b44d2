"""What the details of conditions say: each one clause with subject and verb, made here from figures and settings.

A detail stands after the code and the subject in the log, and within a sentence of the dashboard, so it has neither a
capital nor a full stop.
"""

from collections.abc import Mapping
from typing import Final

IDS_IN_CONFLICT: Final = "two visitors brought a Purchase under one id with different values"
NO_DESCRIPTOR: Final = "no file descriptor is left (ulimit -n)"
NO_PROXY_HEADER: Final = "a trusted peer sent no header of the PROXY protocol (server.proxy_protocol)"
ROWS_TOO_FAST: Final = "rows come faster than the disk takes them"
UNTRUSTED_PROXY: Final = "a forwarding header came from a private address that server.trusted_proxies does not list"
LIMITED: Final[Mapping[str, str]] = {
    "rate": "an address sends more than limits.requests_per_second, or than its part of a queue that fills",
    "share": "an address has more requests in progress than its share",
    "full": "too many requests or bytes are in progress",
}
"""By the subject of ``limited``."""


def graph_failed(reason: str, graph_error: str) -> str:
    """Return why the last request to Graph failed, and what Graph said, if it said anything."""
    return f"{reason}; Meta says: {graph_error}" if graph_error else reason


def clock_differs(ahead_s: float) -> str:
    """Return how far this machine's clock is from Meta's; positive seconds: ahead of it."""
    return f"this machine's clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} Meta's"


def oldest_arrived(age_ms: int) -> str:
    """Return how long the oldest waiting event has waited."""
    return f"the oldest arrived {age_ms // 60_000} min ago"


def stopped_since(ago_ms: int) -> str:
    """Return how long ago the operator paused a pixel."""
    return f"you paused it {ago_ms // 60_000} min ago"


def token_ends(days: int) -> str:
    """Return in how many days an access token ends, as Meta says."""
    return "the access token has ended" if days < 0 else f"the access token ends in {days} days"


def events_wait(events: int) -> str:
    """Return how many events wait."""
    return f"{events} event{'' if events == 1 else 's'} wait{'s' if events == 1 else ''}"


def not_recorded(error: Exception) -> str:
    """Return that a delivery cannot be recorded, and why."""
    return f"what was delivered cannot be recorded yet ({error})"


def database_away(why: str, events: int) -> str:
    """Return that the shared database is away, and what it lacks.

    Args:
        why: Why it is; empty where it is here again, and lacks something still.
        events: How many events the spool holds.
    """
    held = f"the spool holds {events} event{'' if events == 1 else 's'}"
    return f"{why}; {held}" if why else f"it is here again, and {held} that it lacks"


def wrong_passwords(times: int) -> str:
    """Return how many wrong passwords were given."""
    return f"{times} wrong passwords were given"


def unlisted_origin(times: int, site: str) -> str:
    """Return that pages of a host may not send to a site."""
    return f"{times} requests were refused, as site.domains of site {site} does not list this host"


def insecure_origin(times: int, site: str) -> str:
    """Return that pages of a host come by http."""
    return f"{times} requests were refused, as pages of site {site} came by http and their events by https"


def unknown_host(times: int) -> str:
    """Return that a host belongs to no site."""
    return f"{times} requests were refused: no site.domains lists this host, or the Host header is not passed on"


def connections_full(most: int) -> str:
    """Return that all connections are in use."""
    return f"{most} connections are open (limits.connections)"


def address_full(most: int) -> str:
    """Return that one address has as many connections as it may."""
    return f"{most} connections of one address are open (limits.connections_per_address)"


def fronts_connected(connected: int, expected: int) -> str:
    """Return how many of the front processes are connected to the back."""
    return f"{connected} of {expected} front processes {'is' if connected == 1 else 'are'} connected (server.workers)"


def few_descriptors(allowed: int, most: int, wanted: int) -> str:
    """Return that the process accepts fewer connections than the settings want.

    Args:
        allowed: File descriptors that it may open.
        most: Connections that it accepts.
        wanted: Connections that the settings want.
    """
    return f"{allowed} files may be open (ulimit -n), so {most} connections instead of {wanted} (limits.connections)"


def alert_not_taken(times: int, answer: str) -> str:
    """Return that a receiver took no alert, and what it answered last."""
    return f"{times} messages in a row were not taken ({answer})"
