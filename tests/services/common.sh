# shellcheck shell=bash
# What the service scripts share. Sourced, never run on its own.
set -euo pipefail

say()  { printf '%s\n' "$*" >&2; }
fail() { say "${0##*/}: $*"; exit 1; }

# need_debian COMMAND-OR-FILE PACKAGE...: install the packages unless the command or file is there. Only with INSTALL=1:
# a test run that was not asked to must not change the machine.
# Packages must not start their own system service, so a refusing policy file is put in place
# for the moment of the install when the machine has none.
need_debian() {
  local probe=$1; shift
  if [ -e "$probe" ] || command -v "$probe" >/dev/null 2>&1; then return 0; fi
  [ "${INSTALL:-0}" = 1 ] || fail "needs Debian packages ($*): install them, or run with INSTALL=1 as root"
  [ "$(id -u)" = 0 ] || fail "needs Debian packages ($*): install them as root first"
  local policy=/usr/sbin/policy-rc.d made=''
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; made=yes
  fi
  local rc=0
  {
    if ! apt-cache show "$1" >/dev/null 2>&1; then apt-get -q update || true; fi
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
      install --no-install-recommends "$@" || rc=$?
  } >&2
  [ -z "$made" ] || rm -f "$policy"
  [ "$rc" = 0 ] || fail "apt-get could not install: $*"
}

# free_port [COUNT]: loopback TCP ports that nothing listens on right now, one per line.
free_port() {
  /usr/bin/env python3 - "${1:-1}" <<'PY'
import socket, sys
held = []
for _ in range(int(sys.argv[1])):
    s = socket.socket(); s.bind(("127.0.0.1", 0)); held.append(s)
for s in held: print(s.getsockname()[1])
PY
}

# as_user NAME COMMAND...: root hands over to the service account; anybody else runs it directly.
as_user() {
  local who=$1; shift
  if [ "$(id -u)" = 0 ]; then setpriv --reuid="$who" --regid="$(id -g "$who")" --init-groups -- "$@"
  else "$@"; fi
}

# spawn NAME LOGFILE COMMAND...: starts a server in the background, detached from the caller's files; its pid is $!.
# (exec matters: otherwise $! would be a waiting shell and stopping it would leave the server behind.)
spawn() {
  local who=$1 log=$2; shift 2
  if [ "$(id -u)" = 0 ] && [ "$who" != root ]; then
    set -- setpriv --reuid="$who" --regid="$(id -g "$who")" --init-groups -- "$@"
  fi
  (exec setsid "$@" </dev/null >"$log" 2>&1) &
}

# own DIR NAME: create DIR and give it to the account; complains when a parent folder blocks the way.
own() {
  mkdir -p "$1"
  if [ "$(id -u)" = 0 ]; then
    chown "$2" "$1"
    as_user "$2" test -w "$1" || fail "account $2 cannot reach $1: use a folder below a world-readable one (mktemp -d makes 0700 folders: make the service folder elsewhere or chmod 755 it)"
  fi
}

# alive PID: running, and not a zombie that nobody has collected (containers often have such a process 1).
alive() {
  [ -n "${1:-}" ] && [ -r "/proc/$1/stat" ] || return 1
  case $(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) in Z | X | '') return 1 ;; esac
}

# stop_pid PID [SECONDS] [SIGNAL]: ask, wait, then insist.
stop_pid() {
  local pid=$1 limit=${2:-20} sig=${3:-TERM} i
  alive "$pid" || return 0
  kill -"$sig" "$pid" 2>/dev/null || true
  for ((i = 0; i < limit * 10; i++)); do alive "$pid" || return 0; sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null || true
  for ((i = 0; i < 20; i++)); do alive "$pid" || return 0; sleep 0.1; done
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local limit=$1 i; shift
  for ((i = 0; i < limit * 10; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  return 1
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

absolute() { mkdir -p "$1"; (cd "$1" && pwd -P); }

# dispatch VERB DIR: calls do_start, do_stop or do_env with DIR made absolute.
dispatch() {
  local usage="usage: ${0##*/} start|stop|env DIR"
  [ $# -eq 2 ] || { say "$usage"; exit 2; }
  DIR=$(absolute "$2")
  case $1 in
    start) do_start ;;
    stop)  do_stop ;;
    env)   [ -f "$DIR/env" ] || fail "not started in this folder"; cat "$DIR/env" ;;
    *)     say "$usage"; exit 2 ;;
  esac
}
