#!/bin/sh
# Runs once, on the primary's first start, with a server that only this script can reach: roles, database, slots.
set -eu

# No standby exists yet, so no commit may wait for one.
export PGOPTIONS="-c synchronous_commit=local"

psql -X -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres <<'SQL'
\getenv replication_password REPLICATION_PASSWORD
\getenv queue_password QUEUE_PASSWORD
CREATE ROLE replication LOGIN REPLICATION PASSWORD :'replication_password';
-- Owns its database and nothing else; may see, for `capi-proxy check`, what other sessions do.
CREATE ROLE capi_proxy LOGIN PASSWORD :'queue_password';
GRANT pg_read_all_stats TO capi_proxy;
CREATE DATABASE capi_proxy OWNER capi_proxy;
REVOKE CONNECT ON DATABASE capi_proxy FROM PUBLIC;
SELECT pg_create_physical_replication_slot(name) FROM unnest(ARRAY['standby_1', 'standby_2']) name;
SQL

echo "host replication replication samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
