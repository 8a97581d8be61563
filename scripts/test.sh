#!/usr/bin/env bash
# Runs every test of the repository and ends with one line: "tests: N passed, N failed", and status 1 on any failure.
# What is missing on the machine (PostgreSQL, Chromium) is installed with apt-get, and an S3 server is built; nothing asks
# for anything.
#
# Parts that mostly wait run beside parts that mostly compute, which yield to them.
set -uo pipefail
cd "$(dirname "$0")/.."
race=$(<scripts/race.flags) # as the Makefile has it
export CI=true # a test that finds no database fails instead of being skipped
export npm_config_update_notifier=false

# What is fuzzed, each 100,000 times (the fuzzer's clock cuts off an input that is under way and calls it a failure); the
# seeds of the other targets run with the tests. Of the gateway only the files of the frame reader are taken: its other
# tests would have SQLite compiled once more, with the fuzzer's instruments.
declare -A fuzzed=(
	[FuzzReadFrame]='./internal/msync'
	[FuzzFrameReader]='internal/gateway/frames.go internal/gateway/frames_test.go'
	[FuzzParseAccessToken]='./internal/token'
	[FuzzJPEGHead]='./internal/picture'
)

logs=$(mktemp -d "${TMPDIR:-/tmp}/stoa-test.XXXXXX")
chmod 755 "$logs" # PostgreSQL runs as another user
passed=0 failed=0 skipped=0

clean_up() {
	local job
	for job in $(jobs -p); do # each is a process group
		kill -- "-$job" 2>/dev/null
	done
	wait 2>/dev/null
	[[ ! -e $logs/postgres/data ]] || scripts/postgres.sh stop "$logs/postgres"
	[[ ! -e $logs/s3/pid ]] || scripts/s3.sh stop "$logs/s3"
	rm -rf "$logs/postgres" "$logs/s3"
	[[ $failed -gt 0 ]] || rm -rf "$logs"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
set -m

# start NAME KIND COMMAND... runs a part in the background; finish NAME... waits for parts and tells what came out. KIND
# says what counts: go or node for the tests in its output, one for a command that is a test itself, step for one that is
# none and counts only when it fails.
declare -A pid kind began
start() {
	local name=$1
	kind[$name]=$2 began[$name]=$SECONDS
	shift 2
	{
		"$@" >"$logs/$name.log" 2>"$logs/$name.err" </dev/null
		echo "$? $SECONDS" >"$logs/$name.end"
	} &
	pid[$name]=$!
}

finish() {
	local name status ended counts
	for name in "$@"; do
		wait "${pid[$name]}"
		read -r status ended <"$logs/$name.end" || status=1 ended=$SECONDS
		case ${kind[$name]} in
		go | node)
			counts=$(node scripts/tally.mjs "${kind[$name]}" "$logs/$name.log" "$status" 2>"$logs/$name.failures")
			[[ $status -eq 0 ]] || tail -n 20 "$logs/$name.err" >>"$logs/$name.failures"
			;;
		*)
			counts='0 0 0'
			[[ ${kind[$name]} == step ]] || counts='1 0 0'
			[[ $status -eq 0 ]] || counts='0 1 0'
			cat "$logs/$name.log" "$logs/$name.err" >"$logs/$name.failures"
			;;
		esac
		report "$name" $((ended - ${began[$name]})) ${counts:-0 1 0}
	done
}

report() { # NAME SECONDS PASSED FAILED SKIPPED
	printf '%-24s %5d passed %4d failed %4d skipped %6d s\n' "$1" "$3" "$4" "$5" "$2"
	[[ $4 -eq 0 ]] || sed 's/^/    /' "$logs/$1.failures"
	passed=$((passed + $3)) failed=$((failed + $4)) skipped=$((skipped + $5))
}

part() {
	start "$@"
	finish "$1"
}

formatted() {
	local files
	files=$(find . -name node_modules -prune -o -name '*.go' -print | xargs gofmt -l)
	[[ -z $files ]] || { echo "not formatted: $files"; return 1; }
}

find_browser() {
	local name
	for name in ${CHROMIUM:-} chromium chromium-browser google-chrome; do
		CHROMIUM=$(command -v "$name") && return
	done
	return 1
}

services() {
	scripts/postgres.sh start "$logs/postgres" >"$logs/postgres.url" || return
	find_browser || scripts/apt.sh chromium
}

s3() {
	scripts/s3.sh start "$logs/s3" >"$logs/s3.url"
}

go_tests() {
	nice -n 5 go test $race -count=1 -timeout 10m -json ./...
}

fuzz() { # TARGET FILES...
	nice -n 15 go test -run '^$' -fuzz "^$1\$" -fuzztime 100000x -parallel 1 "${@:2}"
}

# The race detector writes what it finds into files of its own, whatever becomes of the output of the program.
race_options="log_path=$logs/race atexit_sleep_ms=0"

web_sdks() {
	GORACE=$race_options STOA_BIN=$PWD/bin/stoa-race npm --prefix test/websdk test --silent
}

web_sdks_on_two_nodes() {
	GORACE=$race_options STOA_BIN=$PWD/bin/stoa-race go run $race ./test/cluster/run npm --prefix test/websdk run --silent test:e2e
}

playground() {
	npm --prefix playground test --silent
}

no_races() {
	local found=("$logs"/race.*)
	[[ ! -e ${found[0]} ]] || { cat "${found[@]}"; return 1; }
}

start services step services
start s3 step s3
part build step make --no-print-directory -j 3 bin/stoa bin/stoa-race test/websdk/node_modules/.package-lock.json
finish services s3
STOA_TEST_POSTGRES=$(cat "$logs/postgres.url")
STOA_TEST_S3=$(cat "$logs/s3.url")
find_browser
export STOA_TEST_POSTGRES STOA_TEST_S3 CHROMIUM

start go go go_tests
part web-sdks node web_sdks
part web-sdks-on-two-nodes node web_sdks_on_two_nodes
part no-races one no_races
part playground node playground
finish go
for target in "${!fuzzed[@]}"; do # one after another, since they share most of what is to be compiled
	go test -c -fuzz . -o /dev/null ${fuzzed[$target]} >/dev/null 2>&1
done
for target in "${!fuzzed[@]}"; do
	start "$target" one fuzz "$target" ${fuzzed[$target]}
done
part format one formatted
part vet one go vet $race ./... # with these flags everything has been compiled already
finish "${!fuzzed[@]}"

echo
[[ $failed -eq 0 ]] || echo "logs: $logs"
[[ $passed -gt 0 ]] || failed=$((failed + 1))
summary="tests: $passed passed, $failed failed"
[[ $skipped -eq 0 ]] || summary+=", $skipped skipped"
echo "$summary"
[[ $failed -eq 0 ]]
