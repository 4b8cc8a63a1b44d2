"""The statements of a look (look.py): about a server, its other users, and our tables. Nothing is written."""

SETTINGS = """
    SELECT name, setting FROM pg_settings WHERE name = ANY('{autovacuum, checkpoint_timeout, fsync, full_page_writes,
        max_slot_wal_keep_size, server_version, server_version_num, synchronous_commit, synchronous_standby_names,
        track_counts}')
"""
SELF = """
    SELECT pg_is_in_recovery() AS is_standby,
        pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
        inet_server_addr() IS NULL OR (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS encrypted,
        (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS waited_for
"""
TIMELINE = """
    SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT to_hex(received_tli) FROM pg_stat_wal_receiver)
        ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END
"""
# Reserved connections exist since version 16. A session whose kind this user may not see counts as one of a client.
FREE = """
    WITH client AS (SELECT datname, usename FROM pg_stat_activity
        WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'),
    bound AS (
        SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true), '0')::int - (SELECT count(*) FROM client) AS free
        UNION ALL
        SELECT datconnlimit - (SELECT count(*) FROM client WHERE client.datname = pg_database.datname)
        FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
        UNION ALL
        SELECT rolconnlimit - (SELECT count(*) FROM client WHERE usename = rolname)
        FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0)
    SELECT min(free)::int FROM bound
"""
HOLDERS = """
    SELECT format('session %s of %s (%s; %s)', pid, usename, coalesce(nullif(application_name, ''), 'without a name'),
            state) AS who, extract(epoch FROM now() - xact_start)::float8 AS seconds,
        greatest(age(backend_xmin), age(backend_xid))::int8 AS transactions
    FROM pg_stat_activity WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
    UNION ALL
    SELECT format('prepared transaction %s of %s', gid, owner), extract(epoch FROM now() - prepared)::float8,
        age(transaction)::int8 FROM pg_prepared_xacts
    UNION ALL
    SELECT format('replication slot %s', slot_name), NULL, greatest(age(xmin), age(catalog_xmin))::int8
    FROM pg_replication_slots WHERE coalesce(xmin, catalog_xmin) IS NOT NULL
    UNION ALL
    SELECT format('standby %s, by hot_standby_feedback', application_name), NULL, age(backend_xmin)::int8
    FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
    ORDER BY transactions DESC
"""
IDLE_SLOTS = """
    SELECT slot_name, coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
        ELSE pg_current_wal_lsn() END, restart_lsn), 0)::int8 AS kept_bytes
    FROM pg_replication_slots WHERE NOT active AND NOT temporary ORDER BY slot_name
"""
TABLES = """
    SELECT coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE relname ~ '^seen_[0-9]+$'), 0)::int8 AS seen_bytes,
        coalesce(array_agg(relname::text ORDER BY relname) FILTER (WHERE EXISTS (SELECT FROM
            pg_options_to_table(reloptions) WHERE option_name = 'autovacuum_enabled' AND NOT option_value::bool)), '{}')
            AS unvacuumed
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = $1 AND relkind = 'r'
"""
# What the user may do: make the tables, and use those that another user made.
RIGHTS = """
    SELECT CASE WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)
            THEN (SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE')
                FROM pg_namespace WHERE nspname = $1)
            ELSE has_database_privilege(current_database(), 'CREATE') END AS may_create,
        coalesce((SELECT array_agg(relname::text ORDER BY relname) FROM pg_class c
            JOIN pg_namespace n ON n.oid = relnamespace
            WHERE nspname = $1 AND relkind = 'r' AND NOT pg_has_role(relowner, 'USAGE')), '{}') AS foreign_tables,
        ARRAY (SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
            WHERE nspname = $1 AND relname IN ('meta', 'replica') AND has_schema_privilege(n.oid, 'USAGE')
                AND has_table_privilege(c.oid, 'SELECT')) AS readable
"""
# A proxy that stops in order deletes its row.
SILENT = """
    SELECT name, extract(epoch FROM now() - seen_at)::float8 FROM "{schema}".replica
    WHERE seen_at BETWEEN now() - interval '1 day' AND now() - interval '1 minute' ORDER BY seen_at DESC
"""
