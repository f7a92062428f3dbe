#!/bin/sh
# As the entry point of the image `postgres`: makes the cluster and the database of POSTGRES_USER at the first start. Any other
# command is run as it is.
set -eu
[ "$1" = postgres ] || exec "$@"
as_postgres="runuser -u postgres --"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    chown postgres: "$PGDATA"
    install -o postgres -m 600 /dev/null /tmp/password
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    $as_postgres initdb --username "$POSTGRES_USER" --pwfile /tmp/password --auth-host scram-sha-256 >/dev/null
    rm /tmp/password
    echo "CREATE DATABASE \"$POSTGRES_USER\"" | $as_postgres postgres --single -D "$PGDATA" postgres >/dev/null
fi
exec $as_postgres "$@"
