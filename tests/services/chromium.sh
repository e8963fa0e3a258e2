#!/usr/bin/env bash
# Debian's Chromium for the tests that drive the pages. Nothing runs between tests: each starts a browser of its own.
#   chromium.sh start|stop|env DIR    INSTALL=1 lets start install the Debian package
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

do_start() {
  need_debian chromium chromium
  mkdir -p "$DIR"
  echo "MILLRACE_TEST_CHROMIUM=$(command -v chromium)" >"$DIR/env"
  cat "$DIR/env"
}

do_stop() { :; }

dispatch "$@"
