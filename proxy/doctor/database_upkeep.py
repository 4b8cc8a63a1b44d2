"""What makes a primary slower, or its disk fuller, by the day."""

from collections.abc import Iterator

from proxy.doctor.database_bounds import GIB, DatabaseBounds, finding_about
from proxy.doctor.finding import Finding
from proxy.queue.postgres.server_facts import Holder, ServerFacts


def upkeep(server: ServerFacts, bounds: DatabaseBounds) -> Iterator[Finding]:
    """Yield what makes a primary slower or its disk fuller by the day."""
    if not server.sees_all:
        text = (
            "does not let this user see other sessions, so old transactions stay unseen by this check;"
            " GRANT pg_read_all_stats TO this user"
        )
        yield finding_about(server, "database_blind", text)
    for holder in server.holders:
        if _is_old(holder, bounds):
            yield finding_about(server, "database_held", _holding(holder))
    for slot in server.idle_slots:
        bounded = server.settings.get("max_slot_wal_keep_size", "-1") != "-1"
        more = "" if bounded else ", without a bound (max_slot_wal_keep_size)"
        text = (
            f"keeps {slot.kept_bytes / GIB:.1f} GiB of WAL for the replication slot {slot.name}, which nobody reads,"
            f" and more by the hour{more}; start its reader, or pg_drop_replication_slot"
        )
        yield finding_about(server, "database_idle_slot", text)
    for proxy in server.silent:
        text = (
            f"has heard nothing of the proxy {proxy.name} for {proxy.seconds / 60:.0f} min, which did not stop in"
            " order; start it again where its data_dir is, as its spool may hold events"
        )
        yield finding_about(server, "database_silent_proxy", text)
    yield from _vacuum(server)
    pause_s = int(server.settings.get("checkpoint_timeout", "900"))
    if pause_s < bounds.checkpoint_s and server.seen_bytes > bounds.large_seen_bytes:
        text = (
            f"has checkpoint_timeout = {pause_s} s beside {server.seen_bytes / GIB:.1f} GiB of duplicate memory: after"
            " each checkpoint pages are written whole, up to 7 KB of WAL for an event whose id the page gave; set"
            f" {bounds.checkpoint_s} s or more, and max_wal_size to what that writes"
        )
        yield finding_about(server, "database_checkpoints", text)


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
            yield finding_about(server, "database_unvacuumed", text)
    if server.unvacuumed:
        text = (
            f"has autovacuum switched off for {', '.join(server.unvacuumed)}: what was delivered stays on the disk;"
            " ALTER TABLE … RESET (autovacuum_enabled)"
        )
        yield finding_about(server, "database_unvacuumed", text)
