#!/usr/bin/env bash
# MariaDB 10.11 (Debian) in a folder of its own, loopback only.
#   mariadb.sh start|stop|env DIR    INSTALL=1 lets start install the Debian packages
# PORT=n chooses the port; DURABLE=0 relaxes the flush at commit (quick tests only).
# Tables and connections use utf8mb4_general_ci: MySql.Data 8.0.16 fails on every result column whose character
# set is utf8mb3, which this server uses for system variables, version(), user() and information_schema. Such
# statements need "set character_set_results = utf8mb4" on the connection first.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

do_start() {
  need_debian /usr/sbin/mariadbd mariadb-server mariadb-client
  if [ -f "$DIR/run/pid" ] && alive "$(cat "$DIR/run/pid")"; then cat "$DIR/env"; return; fi
  own "$DIR" mysql; own "$DIR/run" mysql
  local port=${PORT:-$(free_port)} flush=1
  [ "${DURABLE:-1}" = 1 ] || flush=0
  if [ ! -d "$DIR/data/mysql" ]; then
    own "$DIR/data" mysql
    # --auth-root-authentication-method=normal: root with an empty password, closed below.
    as_user mysql mariadb-install-db --no-defaults --datadir="$DIR/data" --skip-test-db \
      --auth-root-authentication-method=normal >"$DIR/install.log" 2>&1 ||
      { tail -20 "$DIR/install.log" >&2; fail "mariadb-install-db failed"; }
  fi
  # Unix socket paths are limited to 107 bytes: the socket gets a short folder of its own.
  local sock; sock=$(mktemp -u "${TMPDIR:-/tmp}/mr-maria-XXXXXX.sock")
  spawn mysql "$DIR/server.log" /usr/sbin/mariadbd --no-defaults --datadir="$DIR/data" --bind-address=127.0.0.1 --port="$port" \
    --socket="$sock" --pid-file="$DIR/run/pid" --skip-name-resolve --max-connections=200 \
    --character-set-server=utf8mb4 --collation-server=utf8mb4_general_ci \
    --innodb-flush-log-at-trx-commit=$flush --max-allowed-packet=64M
  wait_for 60 port_open "$port" || { tail -20 "$DIR/server.log" >&2; fail "MariaDB did not start"; }
  if [ ! -f "$DIR/env" ]; then
    mariadb --no-defaults -u root -S "$sock" <<SQL
create database if not exists millrace;
create user if not exists millrace@'127.0.0.1' identified via mysql_native_password using password('millrace');
grant all on *.* to millrace@'127.0.0.1';
set password for root@localhost = password('millrace');
SQL
  fi
  cat >"$DIR/env" <<ENV
MILLRACE_TEST_MARIADB="Server=127.0.0.1;Port=$port;User ID=millrace;Password=millrace;Database=millrace;SslMode=None;CharSet=utf8mb4"
MARIADB_HOST=127.0.0.1
MARIADB_PORT=$port
MARIADB_USER=millrace
MARIADB_PASSWORD=millrace
MARIADB_DATABASE=millrace
MARIADB_SOCKET=$sock
ENV
  cat "$DIR/env"
}

do_stop() {
  [ -f "$DIR/run/pid" ] || return 0
  stop_pid "$(cat "$DIR/run/pid")" 30
  rm -f "$DIR/run/pid"
}

dispatch "$@"
