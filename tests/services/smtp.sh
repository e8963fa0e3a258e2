#!/usr/bin/env bash
# A mail sink (Debian's python3-aiosmtpd) in a folder of its own, loopback only. Every accepted message becomes
# one file DIR/mail/NNNNNN.eml, preceded by X-Envelope-From / X-Envelope-To / X-Login lines.
#   smtp.sh start|stop|env DIR    INSTALL=1 lets start install the Debian packages
# Two listeners: a plain one, and one that offers STARTTLS (self-made certificate DIR/cert.pem) and demands the
# login millrace/millrace after it. PORT=n and TLS_PORT=n choose the ports. REJECT=text answers every recipient that contains the text with 550.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PY=/usr/bin/python3   # Debian's own Python: its modules are not visible to another one on PATH

do_start() {
  "$PY" -c "import aiosmtpd" 2>/dev/null || need_debian /nonexistent python3-aiosmtpd openssl
  if [ -f "$DIR/pid" ] && alive "$(cat "$DIR/pid")"; then cat "$DIR/env"; return; fi
  mkdir -p "$DIR/mail"
  if [ ! -f "$DIR/cert.pem" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=localhost \
      -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$DIR/key.pem" -out "$DIR/cert.pem" >"$DIR/openssl.log" 2>&1 ||
      { cat "$DIR/openssl.log" >&2; fail "openssl failed"; }
  fi
  local p; mapfile -t p < <(free_port 2)
  p=("${PORT:-${p[0]}}" "${TLS_PORT:-${p[1]}}")
  spawn root "$DIR/server.log" "$PY" "$(dirname "${BASH_SOURCE[0]}")/smtp_sink.py" "$DIR" "${p[0]}" "${p[1]}"
  echo $! >"$DIR/pid"
  wait_for 15 port_open "${p[1]}" || { cat "$DIR/server.log" >&2; fail "the mail sink did not start"; }
  cat >"$DIR/env" <<ENV
SMTP_HOST=127.0.0.1
SMTP_PORT=${p[0]}
SMTP_TLS_PORT=${p[1]}
SMTP_USER=millrace
SMTP_PASSWORD=millrace
SMTP_CERTIFICATE="$DIR/cert.pem"
SMTP_MAILBOX="$DIR/mail"
ENV
  cat "$DIR/env"
}

do_stop() {
  [ -f "$DIR/pid" ] || return 0
  stop_pid "$(cat "$DIR/pid")" 10; rm -f "$DIR/pid"
}

dispatch "$@"
