"""Findings about the PostgreSQL that several proxies share; mostly the text of what was seen says how to mend it."""

from proxy.doctor.catalogue.row import DOUBT, FAILURE, UNSEEN, CatalogueRow

_AS_SEEN = "as the line says"

ROWS = {
    "database_driver_missing": CatalogueRow(
        FAILURE, "no driver for PostgreSQL", "the proxy could not start", "install the extra"
    ),
    "database_unseen": CatalogueRow(
        UNSEEN,
        "a server of the queue that cannot be reached",
        "it could not take over either, and what is wrong with it is not known",
        "start it, or open the way to it",
    ),
    "database_without_primary": CatalogueRow(
        FAILURE, "no server takes writes", "every event goes to the spool", _AS_SEEN
    ),
    "database_two_primaries": CatalogueRow(
        FAILURE,
        "a server that takes writes beside the primary",
        "what is written to the old one is lost",
        _AS_SEEN,
    ),
    "database_unsafe": CatalogueRow(
        FAILURE,
        "fsync or full_page_writes off",
        "a power cut loses acknowledged events, or more",
        _AS_SEEN,
    ),
    "database_standby_not_awaited": CatalogueRow(
        FAILURE,
        "commits that wait for no standby",
        "a fail-over loses what was acknowledged last",
        _AS_SEEN,
    ),
    "database_standby_away": CatalogueRow(
        FAILURE, "no standby connected that a commit waits for", "every event goes to the spool", _AS_SEEN
    ),
    "database_role_asynchronous": CatalogueRow(
        DOUBT,
        "synchronous_commit other than on for the user",
        "the proxy sets its own; what a person mends by hand would not be durable",
        _AS_SEEN,
    ),
    "database_old": CatalogueRow(FAILURE, "a PostgreSQL older than 14", "nothing was tested with it", _AS_SEEN),
    "database_pooled": CatalogueRow(
        FAILURE,
        "a pooler in transaction mode",
        "settings of a session, and with them the wait for standbys, get lost",
        _AS_SEEN,
    ),
    "database_connections_short": CatalogueRow(
        FAILURE, "fewer free connections than a proxy needs", "a proxy that starts now cannot work", _AS_SEEN
    ),
    "database_connections_few": CatalogueRow(
        DOUBT, "free connections for one proxy alone", "two cannot start at once, as in an upgrade", _AS_SEEN
    ),
    "database_clock": CatalogueRow(
        DOUBT,
        "a server whose clock differs",
        "proxies whose clocks differ deliver late, and forget repeats too soon",
        _AS_SEEN,
    ),
    "database_plain": CatalogueRow(
        DOUBT, "no TLS to another machine", "names and ids of events can be read on the way", _AS_SEEN
    ),
    "database_other_secret": CatalogueRow(
        FAILURE, "a queue of another secret", "the proxy refuses to start rather than lose events", _AS_SEEN
    ),
    "database_may_not_create": CatalogueRow(
        FAILURE, "a user who may not make the tables", "the start would fail", _AS_SEEN
    ),
    "database_foreign_tables": CatalogueRow(
        FAILURE, "tables that belong to another user", "the start would fail", _AS_SEEN
    ),
    "database_blind": CatalogueRow(
        UNSEEN, "a user who cannot see other sessions", "old transactions stay unseen", _AS_SEEN
    ),
    "database_held": CatalogueRow(
        DOUBT,
        "a transaction, slot or standby that keeps finished rows",
        "the tables grow by all of the traffic, and claims become slower",
        _AS_SEEN,
    ),
    "database_idle_slot": CatalogueRow(
        DOUBT, "a replication slot that nobody reads", "its WAL fills the disk", _AS_SEEN
    ),
    "database_silent_proxy": CatalogueRow(
        DOUBT,
        "a proxy that did not stop in order",
        "its spool may hold events that only its own next start brings",
        _AS_SEEN,
    ),
    "database_unvacuumed": CatalogueRow(
        DOUBT, "autovacuum off", "delivered events stay on the disk and slow down each claim", _AS_SEEN
    ),
    "database_checkpoints": CatalogueRow(
        DOUBT, "frequent checkpoints beside a large duplicate memory", "pages are written whole after each", _AS_SEEN
    ),
}
