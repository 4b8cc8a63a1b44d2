"""Whether the PostgreSQL that keeps the queue can keep the promise, and will still be quick in a month."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from proxy.config.address import Address
from proxy.doctor.finding import Finding
from proxy.queue.postgres.server_facts import Holder, Look, ServerFacts, Unreachable

KEY = "queue.url"
_CONNECTIONS = 4
"""Of one process."""
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class DatabaseBounds:
    """From where on something is worth a word."""

    oldest_version: int = 14
    held_s: float = 600
    held_transactions: int = 100_000
    """For what has no age in seconds: at a hundred groups a second, a quarter of an hour."""
    large_seen_bytes: int = _GIB
    checkpoint_s: int = 900
    clock_s: float = 30
    spare_connections: int = 2 * _CONNECTIONS


def judged(looks: Sequence[Look], bounds: DatabaseBounds = DatabaseBounds()) -> Iterator[Finding]:
    """Yield what is wrong or doubtful about the servers of a queue.

    Args:
        looks: One for each host of the url.
        bounds: From where on something is worth a word.
    """
    servers = [each for each in looks if isinstance(each, ServerFacts)]
    for each in looks:
        if isinstance(each, Unreachable):
            yield _about(each, f"cannot be looked at ({each.why}); it could not take over either")
    yield from _primaries(servers)
    for server in servers:
        findings = [*_durability(server, alone=len(looks) == 1), *_access(server, bounds)]
        if not server.is_standby:
            findings += _upkeep(server, bounds)
        yield from findings


def _about(server: Look, text: str, *, failing: bool = False) -> Finding:
    return Finding(KEY, f"{server.place} {text}", failing=failing)


def _primaries(servers: Sequence[ServerFacts]) -> Iterator[Finding]:
    primaries = sorted((each for each in servers if not each.is_standby), key=attrgetter("timeline"))
    if not primaries:
        text = "no server takes writes, so every event would go to the spool; promote a standby, or name the primary"
        yield Finding(KEY, text, failing=True)
    for stale in primaries[:-1]:
        text = (
            f"takes writes besides {primaries[-1].place}: it was a primary before a fail-over, and what other programs"
            " write there will be lost; stop it, and make it a standby again (pg_rewind or a fresh copy)"
        )
        yield _about(stale, text, failing=True)


def _durability(server: ServerFacts, *, alone: bool) -> Iterator[Finding]:
    """Yield by what an acknowledged event could be lost; of standbys too, as each may be the next primary."""
    settings = server.settings
    for name, loss in (
        ("fsync", "a power cut would lose acknowledged events, or the whole database"),
        ("full_page_writes", "a power cut in the midst of a page would damage tables for good"),
    ):
        if settings.get(name) == "off":
            yield _about(server, f"has {name} = off: {loss}; set it to on and reload", failing=True)
    if not alone and "synchronous_standby_names" in settings and not settings["synchronous_standby_names"]:
        text = (
            "has an empty synchronous_standby_names: it answers a commit that no standby has, and a fail-over loses"
            " that; an old primary that comes back would acknowledge all by itself. Set 'ANY 1 (…)' with the names of"
            " the other servers, here as on each of them (Patroni: synchronous_mode)"
        )
        yield _about(server, text, failing=True)
    elif settings.get("synchronous_standby_names") and not (server.is_standby or server.waited_for) and server.sees_all:
        text = (
            f"waits for {settings['synchronous_standby_names']}, and none of them is connected, so no commit is"
            " answered and every event goes to the spool; start a standby, and compare its application_name"
        )
        yield _about(server, text, failing=True)
    if settings.get("synchronous_commit") not in {"on", "remote_apply", None}:
        text = (
            f"gives this user synchronous_commit = {settings['synchronous_commit']}; the proxy's own sessions ask for"
            " on, but what a person mends by hand would not be durable: ALTER ROLE … RESET synchronous_commit"
        )
        yield _about(server, text)


def _access(server: ServerFacts, bounds: DatabaseBounds) -> Iterator[Finding]:
    """Yield what stands between the proxy and the server."""
    if int(server.settings.get("server_version_num", "0")) // 10_000 < bounds.oldest_version:
        version = server.settings.get("server_version", "of an unknown version").partition(" ")[0]
        text = f"is PostgreSQL {version}; {bounds.oldest_version} or newer is needed, and tested: upgrade it"
        yield _about(server, text, failing=True)
    if server.pooled:
        text = (
            "answers through a pooler in transaction mode: settings of a session, and with them the wait for standbys,"
            " would be lost or reach others; name the server itself, or use session mode"
        )
        yield _about(server, text, failing=True)
    if server.free_connections < bounds.spare_connections:
        text = (
            f"has {max(0, server.free_connections)} connections left for this user, and each proxy needs"
            f" {_CONNECTIONS}; raise max_connections or the limit of the role or the database"
        )
        yield _about(server, text, failing=server.free_connections < _CONNECTIONS)
    if abs(server.clock_s) - server.round_trip_s / 2 > bounds.clock_s:
        which = "ahead of" if server.clock_s > 0 else "behind"
        text = (
            f"has a clock {abs(server.clock_s):.0f} s {which} this machine's; proxies whose clocks differ by minutes"
            " deliver late and remember repeats for too short a time: run NTP on both"
        )
        yield _about(server, text)
    if not server.encrypted and not _is_near(server.place):
        text = (
            "is reached without TLS: payloads are sealed, but names and ids of events are not; add sslmode=verify-full"
            " to the url"
        )
        yield _about(server, text)


def _is_near(place: str) -> bool:
    host, _, port = place.rpartition(":")
    return Address(host.strip("[]"), int(port)).is_loopback


def _upkeep(server: ServerFacts, bounds: DatabaseBounds) -> Iterator[Finding]:
    """Yield what makes a primary slower or its disk fuller by the day."""
    if not server.sees_all:
        text = (
            "does not let this user see other sessions, so old transactions stay unseen by this check;"
            " GRANT pg_read_all_stats TO this user"
        )
        yield _about(server, text)
    for holder in server.holders:
        if _is_old(holder, bounds):
            yield _about(server, _holding(holder))
    for slot in server.idle_slots:
        bounded = server.settings.get("max_slot_wal_keep_size", "-1") != "-1"
        more = "" if bounded else ", without a bound (max_slot_wal_keep_size)"
        text = (
            f"keeps {slot.kept_bytes / _GIB:.1f} GiB of WAL for the replication slot {slot.name}, which nobody reads,"
            f" and more by the hour{more}; start its reader, or pg_drop_replication_slot"
        )
        yield _about(server, text)
    yield from _vacuum(server)
    pause_s = int(server.settings.get("checkpoint_timeout", "900"))
    if pause_s < bounds.checkpoint_s and server.seen_bytes > bounds.large_seen_bytes:
        text = (
            f"has checkpoint_timeout = {pause_s} s beside {server.seen_bytes / _GIB:.1f} GiB of duplicate memory: after"
            " each checkpoint pages are written whole, up to 7 KB of WAL for an event whose id the page gave; set"
            f" {bounds.checkpoint_s} s or more, and max_wal_size to what that writes"
        )
        yield _about(server, text)


def _is_old(holder: Holder, bounds: DatabaseBounds) -> bool:
    if holder.seconds is None:
        return holder.transactions >= bounds.held_transactions
    return holder.seconds >= bounds.held_s


def _holding(holder: Holder) -> str:
    age = f"{holder.transactions} transactions" if holder.seconds is None else f"{holder.seconds / 60:.0f} minutes"
    return (
        f"cannot remove what was finished in the last {age}, because of {holder.who}: the tables grow by all the"
        " traffic, and claims become slower; end it (pg_terminate_backend, ROLLBACK PREPARED, drop the slot), and give"
        " the queue a database server of its own if it comes back"
    )


def _vacuum(server: ServerFacts) -> Iterator[Finding]:
    for name in ("autovacuum", "track_counts"):
        if server.settings.get(name) == "off":
            text = f"has {name} = off: delivered events stay on the disk and slow down each claim; set it to on"
            yield _about(server, text)
    if server.unvacuumed:
        text = (
            f"has autovacuum switched off for {', '.join(server.unvacuumed)}: what was delivered stays on the disk;"
            " ALTER TABLE … RESET (autovacuum_enabled)"
        )
        yield _about(server, text)
