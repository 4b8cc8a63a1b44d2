"""Whether the servers of a queue keep what is acknowledged, and whether a proxy can work with them."""

from collections.abc import Iterator

from proxy.config.address import Address
from proxy.doctor.database_bounds import PROCESS_CONNECTIONS, DatabaseBounds, finding_about
from proxy.doctor.finding import Finding
from proxy.queue.postgres.schema import is_opened_by
from proxy.queue.postgres.server_facts import ServerFacts
from proxy.queue.seal import Sealer


def durability(server: ServerFacts, *, alone: bool) -> Iterator[Finding]:
    """Yield the settings by which an acknowledged event could be lost.

    Standbys are judged like a primary, as each may become it. ``alone``: the url names no other server.
    """
    settings = server.settings
    for name, loss in (
        ("fsync", "a power cut would lose acknowledged events, or the whole database"),
        ("full_page_writes", "a power cut in the midst of a page would damage tables for good"),
    ):
        if settings.get(name) == "off":
            yield finding_about(server, "database_unsafe", f"has {name} = off: {loss}; set it to on and reload")
    if not alone and "synchronous_standby_names" in settings and not settings["synchronous_standby_names"]:
        text = (
            "has an empty synchronous_standby_names: it answers a commit that no standby has, and a fail-over loses"
            " that; an old primary that comes back would acknowledge all by itself. Set 'ANY 1 (…)' with the names of"
            " the other servers, here as on each of them (Patroni: synchronous_mode)"
        )
        yield finding_about(server, "database_standby_not_awaited", text)
    elif settings.get("synchronous_standby_names") and not (server.is_standby or server.waited_for) and server.sees_all:
        text = (
            f"waits for {settings['synchronous_standby_names']}, and none of them is connected, so no commit is"
            " answered and every event goes to the spool; start a standby, and compare its application_name"
        )
        yield finding_about(server, "database_standby_away", text)
    if settings.get("synchronous_commit") not in {"on", "remote_apply", None}:
        text = (
            f"gives this user synchronous_commit = {settings['synchronous_commit']}; the proxy's own sessions ask for"
            " on, but what a person mends by hand would not be durable: ALTER ROLE … RESET synchronous_commit"
        )
        yield finding_about(server, "database_role_asynchronous", text)


def access(server: ServerFacts, bounds: DatabaseBounds) -> Iterator[Finding]:
    """Yield what makes the server unfit for a proxy: version, pooler, free connections, clock, no encryption."""
    if int(server.settings.get("server_version_num", "0")) // 10_000 < bounds.oldest_version:
        version = server.settings.get("server_version", "of an unknown version").partition(" ")[0]
        text = f"is PostgreSQL {version}; {bounds.oldest_version} or newer is needed: upgrade it"
        yield finding_about(server, "database_old", text)
    if server.pooled:
        text = (
            "answers through a pooler in transaction mode: settings of a session, and with them the wait for standbys,"
            " would be lost or reach others; name the server itself, or use session mode"
        )
        yield finding_about(server, "database_pooled", text)
    if server.free_connections < bounds.spare_connections:
        text = (
            f"has {max(0, server.free_connections)} connections left for this user, and each proxy needs"
            f" {PROCESS_CONNECTIONS}; raise max_connections or the limit of the role or the database"
        )
        is_short = server.free_connections < PROCESS_CONNECTIONS
        yield finding_about(server, "database_connections_short" if is_short else "database_connections_few", text)
    if abs(server.clock_s) - server.round_trip_s / 2 > bounds.clock_s:
        which = "ahead of" if server.clock_s > 0 else "behind"
        text = (
            f"has a clock {abs(server.clock_s):.0f} s {which} this machine's; proxies whose clocks differ by minutes"
            " deliver late and remember repeats for too short a time: run NTP on both"
        )
        yield finding_about(server, "database_clock", text)
    if not server.encrypted and not _is_near(server.place):
        text = (
            "is reached without TLS: payloads are sealed, but names and ids of events are not; add sslmode=verify-full"
            " to the url"
        )
        yield finding_about(server, "database_plain", text)


def _is_near(place: str) -> bool:
    host, _, port = place.rpartition(":")
    return Address(host.strip("[]"), int(port)).is_loopback


def ownership(server: ServerFacts, sealer: Sealer | None) -> Iterator[Finding]:
    """Yield why a proxy with this database user and secret could not use the tables, or make them."""
    if server.proof and sealer and not is_opened_by(server.proof, sealer):
        text = f"{server.place} keeps a queue of another secret; use that one, or list it in old_secrets"
        yield Finding("database_other_secret", "server.secret", text)
    if not server.may_create:
        text = (
            "does not let this user make the queue's tables; let it own the database, or an administrator run"
            " CREATE SCHEMA capi_proxy AUTHORIZATION with its name"
        )
        yield finding_about(server, "database_may_not_create", text)
    if server.foreign_tables:
        text = (
            f"keeps tables of the queue that belong to another user ({', '.join(server.foreign_tables)}); name that"
            " user in the url, or ALTER TABLE … OWNER TO this one"
        )
        yield finding_about(server, "database_foreign_tables", text)
