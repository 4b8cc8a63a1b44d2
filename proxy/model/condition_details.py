"""What the details of conditions say: each one clause with subject and verb, made here from figures and settings.

A detail stands after the code and the subject in the log, and within a sentence of the dashboard, so it has neither a
capital nor a full stop.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final

IDS_IN_CONFLICT: Final = "two visitors brought a Purchase under one id with different values"
NO_DESCRIPTOR: Final = "no file descriptor is left (ulimit -n)"
NO_PROXY_HEADER: Final = "a trusted peer sent no header of the PROXY protocol (server.proxy_protocol)"
ROWS_TOO_FAST: Final = "rows come faster than the disk takes them"
UNTRUSTED_PROXY: Final = "a forwarding header came from a private address that server.trusted_proxies does not list"
_MOST_DOMAINS: Final = 5
LIMITED: Final[Mapping[str, str]] = {
    "rate": "an address sends more than limits.requests_per_second, or than its part of a queue that fills",
    "share": "an address has more requests in progress than its share",
    "full": "too many requests or bytes are in progress",
}
"""The details of the condition ``limited``, by its subject."""


def graph_failed(reason: str, graph_error: str) -> str:
    """Return why the last request to Graph failed, and what Graph said, if it said anything."""
    return f"{reason}; Meta says: {graph_error}" if graph_error else reason


def clock_differs(ahead_s: float) -> str:
    """Return how far this machine's clock is from Meta's; positive seconds mean ahead of it."""
    return f"this machine's clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} Meta's"


def oldest_arrived(age_ms: int) -> str:
    """Return how long the oldest waiting event has waited."""
    return f"the oldest arrived {age_ms // 60_000} min ago"


def stopped_since(ago_ms: int) -> str:
    """Return how long ago the operator paused a pixel."""
    return f"you paused it {ago_ms // 60_000} min ago"


def token_ends(days: int) -> str:
    """Return in how many whole days an access token ends, as Meta says."""
    if days < 0:
        return "the access token has ended"
    return f"the access token ends {_in_days(days) if days else 'within a day'}"


def events_wait(events: int) -> str:
    """Return how many events wait."""
    return f"{events} event{'' if events == 1 else 's'} wait{'s' if events == 1 else ''}"


def not_recorded(error: Exception) -> str:
    """Return that a delivery cannot be recorded, and why."""
    return f"what was delivered cannot be recorded yet ({error})"


def database_away(why: str, events: int) -> str:
    """Return that the shared database is away, or is back but lacks events that the spool holds.

    Args:
        why: Why the database is away; empty when it is back.
        events: How many events the spool holds.
    """
    held = f"the spool holds {events} event{'' if events == 1 else 's'}"
    return f"{why}; {held}" if why else f"it is here again, and {held} that it lacks"


def wrong_passwords(times: int) -> str:
    """Return how many wrong passwords were given."""
    return "a wrong password was given" if times == 1 else f"{times} wrong passwords were given"


def unlisted_origin(times: int, site: str, domains: Sequence[str], host: str) -> str:
    """Return that pages of a host may not send to a site, and the line of the configuration that would let them.

    Args:
        times: How many requests were refused.
        site: The name of the site.
        domains: The domains that the site lists.
        host: The host that it does not list.
    """
    line = ", ".join(f'"{domain}"' for domain in (*domains, host))
    wanted = f"domains = [{line}]" if len(domains) <= _MOST_DOMAINS else f'"{host}" in domains'
    why = f"site.domains of site {site} does not list this host"
    return f"{_requests_were(times)} refused, as {why}; if it is yours: {wanted}"


def insecure_origin(times: int, site: str) -> str:
    """Return that pages of a site came by http, so that their requests were refused."""
    return f"{_requests_were(times)} refused, as pages of site {site} came by http and their events by https"


def unknown_host(times: int) -> str:
    """Return that a host belongs to no site."""
    return f"{_requests_were(times)} refused: no site.domains lists this host, or the Host header is not passed on"


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


def queue_fills(part: float, full_in: str) -> str:
    """Return how full the queue is (0 to 1), and in what time it will be full (``full_in``; empty if not known)."""
    return f"{part:.0%} of its bounds are used" + (f", all of them in {full_in} at this rate" if full_in else "")


def disk_short(free: int, full_in: str) -> str:
    """Return how many bytes of disk are free, and in what time that is too little (``full_in``; empty if not known)."""
    return f"{free // 1_048_576} MiB are free" + (f", too little in {full_in} at this rate" if full_in else "")


def no_events_since(missed: int, since: int) -> str:
    """Return since when no event has come (Unix milliseconds), and how many usually come in that time (``missed``)."""
    moment = datetime.fromtimestamp(since / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"none since {moment}, where usually some {missed} come"


def tag_missing(days: int) -> str:
    """Return that no page has sent an event in the last ``days`` days; 0 means that none ever has."""
    return f"none in the last {days} days" if days else "none yet"


def pair_rate_fell(now: float, usual: float, hours: int) -> str:
    """Return how far the pair rate fell.

    Args:
        now: The part of the browser copies that fired, 0 to 1.
        usual: The usual part at these hours.
        hours: The length of the time that ``now`` covers.
    """
    return f"in the last {hours} h {now:.0%} fired, where usually {usual:.0%} do"


def ids_reused(reused: int, events: int) -> str:
    """Return how many events came with an id that another visitor had used before."""
    return f"{reused} of {events} events within an hour came with an id of another visitor"


def dead_in_a_day(dead: int, ended: int) -> str:
    """Return how many events ended as dead letters."""
    return f"{dead} of {ended} events of the last 24 hours are dead letters"


def ends_on(day: date, days: int) -> str:
    """Return when something ends, and in how many days that is."""
    return f"it ended on {day}" if days < 0 else f"it ends on {day}, {_in_days(days)}"


def _in_days(days: int) -> str:
    return f"in {days} day{'' if days == 1 else 's'}" if days else "today"


def _requests_were(times: int) -> str:
    return "a request was" if times == 1 else f"{times} requests were"


def alert_not_taken(times: int, answer: str) -> str:
    """Return that a receiver took no alert, and what it answered last."""
    return f"{times} messages in a row were not taken ({answer})"
