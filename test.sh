#!/usr/bin/env bash
# Runs every test and names those it left out because a server is not installed.
#   ./test.sh             all tests; servers that are installed are started for them
#   ./test.sh --install   installs what is missing first (Debian, root)
#   ./test.sh --quick     without tests marked slow and without servers: under two minutes
#   ./test.sh NAME…       only the test projects whose name contains NAME
# The last line adds up all projects: N passed, N failed, N skipped. Exit code 0 only when nothing failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# name, the command or file that shows it is installed, the setting that its tests look for
SERVICES=(
  "mariadb  /usr/sbin/mariadbd             MILLRACE_TEST_MARIADB"
  "postgres /usr/lib/postgresql/*/bin/postgres MILLRACE_TEST_POSTGRES"
  "chromium /usr/bin/chromium              MILLRACE_TEST_CHROMIUM"
  "smtp     /usr/lib/python3/dist-packages/aiosmtpd SMTP_HOST"
  "s3       /usr/bin/python3                MILLRACE_TEST_S3"
)

install=0 quick=0 only=()
for argument in "$@"; do
  case $argument in
    --install) install=1 ;;
    --quick) quick=1 ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "test.sh: unknown option $argument; see test.sh --help" >&2; exit 2 ;;
    *) only+=("$argument") ;;
  esac
done

work=$(mktemp -d "${TMPDIR:-/tmp}/millrace-tests-XXXXXX")
chmod 755 "$work" # service accounts must be able to reach their folders
started=() absent=()

finish() {
  for name in "${started[@]}"; do tests/services/"$name".sh stop "$work/$name" >/dev/null 2>&1; done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

start_service() {
  local name=$1 probe=$2 setting=$3
  [ -z "${!setting:-}" ] || return 0
  # The probe may hold a wildcard.
  # shellcheck disable=SC2086
  if [ "$install" = 0 ] && ! ls $probe >/dev/null 2>&1; then absent+=("$name"); return 0; fi
  echo "== starting $name"
  started+=("$name")
  if ! INSTALL=$install tests/services/"$name".sh start "$work/$name" >"$work/$name.env"; then
    [ "$install" = 0 ] || { echo "test.sh: $name does not start, and --install promises its tests" >&2; exit 1; }
    absent+=("$name"); return 0
  fi
  set -a
  # shellcheck disable=SC1090
  . "$work/$name.env"
  set +a
}

if [ "$quick" = 0 ]; then
  for service in "${SERVICES[@]}"; do
    # shellcheck disable=SC2086
    set -f; set -- $service; set +f
    start_service "$@"
  done
fi

echo "== building"
dotnet build Millrace.slnx -c Release --nologo -v quiet || { echo "test.sh: the build failed" >&2; exit 1; }

passed=0 failed=0 skipped=0
: >"$work/skipped"
attribute() { sed -n "s/.*<assembly [^>]*[ ]$1=\"\([0-9]*\)\".*/\1/p" "$2" | head -1; }

for project in tests/*.Tests tests/*.SystemTests tests/*.BrowserTests; do
  name=${project#tests/}
  [ -f "$project/$name.csproj" ] || continue
  if [ ${#only[@]} -gt 0 ]; then
    wanted=0
    for part in "${only[@]}"; do [[ $name == *"$part"* ]] && wanted=1; done
    [ "$wanted" = 1 ] || continue
  fi
  echo "== $name"
  result=$work/$name.xml
  options=(-noColor -xml "$result")
  [ "$quick" = 0 ] || options+=(-trait- Speed=slow)
  "$project/bin/Release/net10.0/$name" "${options[@]}" >"$work/$name.log" 2>&1
  code=$?
  if [ ! -s "$result" ]; then
    # A project without tests yet has nothing to report; anything else without a report is a failure.
    if grep -q 'Total: 0' "$work/$name.log"; then continue; fi
    cat "$work/$name.log"; echo "$name ended with code $code and without a report"; failed=$((failed + 1)); continue
  fi
  p=$(attribute passed "$result") f=$(attribute failed "$result") e=$(attribute errors "$result") s=$(attribute skipped "$result")
  passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0} + ${e:-0})) skipped=$((skipped + ${s:-0}))
  if [ "$code" != 0 ]; then
    grep -v '^Ok, passed' "$work/$name.log"
    [ "${f:-0}${e:-0}" != 00 ] || failed=$((failed + 1))
  fi
  grep -a '\[SKIP\]' -A1 "$work/$name.log" | grep -v '^--' | sed 's/^ */   /' >>"$work/skipped"
  echo "   ${p:-0} passed, ${f:-0} failed, ${s:-0} skipped"
done

if [ -s "$work/skipped" ]; then echo "== left out"; cat "$work/skipped"; fi
if [ ${#absent[@]} -gt 0 ]; then echo "not installed: ${absent[*]} (./test.sh --install installs them)"; fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
