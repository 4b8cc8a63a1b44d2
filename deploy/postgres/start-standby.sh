#!/bin/sh
# Starts a standby; the first time it copies the primary. STANDBY_NAME is its name in synchronous_standby_names.
set -eu

primary="host=${PRIMARY_HOST:-primary} user=replication application_name=$STANDBY_NAME"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # The password goes into the standby's own configuration, which only its user can read (-R).
    until PGPASSWORD=$REPLICATION_PASSWORD pg_basebackup -D "$PGDATA" -d "$primary" -R -X stream -S "$STANDBY_NAME" -c fast; do
        find "$PGDATA" -mindepth 1 -delete
        sleep 2
    done
    chmod 700 "$PGDATA"
fi

exec postgres -c config_file="${POSTGRES_CONFIG:-/etc/postgresql/postgresql.conf}" "$@"
