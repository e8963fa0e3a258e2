#!/usr/bin/env bash
# PostgreSQL 15 (Debian) in a folder of its own, loopback only.
#   postgres.sh start|stop|env DIR    INSTALL=1 lets start install the Debian packages
# PORT=n chooses the port; DURABLE=0 turns fsync off (quick tests only).
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }

do_start() {
  [ -n "$(bin)" ] || need_debian /usr/lib/postgresql/15/bin/postgres postgresql-15
  local b; b=$(bin)
  if [ -f "$DIR/data/postmaster.pid" ] && alive "$(head -1 "$DIR/data/postmaster.pid")"; then cat "$DIR/env"; return; fi
  own "$DIR" postgres
  local port=${PORT:-$(free_port)} durable=${DURABLE:-1} extra=''
  if [ ! -f "$DIR/data/PG_VERSION" ]; then
    printf millrace >"$DIR/password"; chmod 600 "$DIR/password"
    [ "$(id -u)" = 0 ] && chown postgres "$DIR/password"
    as_user postgres "$b/initdb" -D "$DIR/data" -U millrace -A scram-sha-256 --pwfile="$DIR/password" \
      -E UTF8 --locale=C.UTF-8 --no-sync >"$DIR/initdb.log" 2>&1 || { cat "$DIR/initdb.log" >&2; fail "initdb failed"; }
  fi
  [ "$durable" = 1 ] || extra='-c fsync=off -c synchronous_commit=off -c full_page_writes=off'
  # Unix socket paths are limited to 107 bytes, so the socket is switched off altogether.
  as_user postgres "$b/pg_ctl" -D "$DIR/data" -l "$DIR/data/server.log" -w -t 60 \
    -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='' -c max_connections=200 $extra" \
    start >"$DIR/start.log" 2>&1 || { cat "$DIR/start.log" >&2; tail -20 "$DIR/data/server.log" >&2; fail "PostgreSQL did not start"; }
  PGPASSWORD=millrace "$b/psql" -h 127.0.0.1 -p "$port" -U millrace -d postgres -tAc \
    "select 1 from pg_database where datname='millrace'" | grep -q 1 ||
    PGPASSWORD=millrace "$b/createdb" -h 127.0.0.1 -p "$port" -U millrace millrace
  cat >"$DIR/env" <<ENV
MILLRACE_TEST_POSTGRES="Host=127.0.0.1;Port=$port;Username=millrace;Password=millrace;Database=millrace"
PGHOST=127.0.0.1
PGPORT=$port
PGUSER=millrace
PGPASSWORD=millrace
PGDATABASE=millrace
ENV
  cat "$DIR/env"
}

do_stop() {
  [ -f "$DIR/data/postmaster.pid" ] || return 0
  as_user postgres "$(bin)/pg_ctl" -D "$DIR/data" -m fast -w -t 60 stop >/dev/null || fail "PostgreSQL did not stop"
}

dispatch "$@"
