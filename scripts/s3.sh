#!/usr/bin/env bash
# An S3-compatible server for tests: Versity's gateway in front of a folder. It checks signatures.
#
#   scripts/s3.sh start DIR   builds the server, if that has not been done, starts it on a free loopback port with a bucket
#                             in DIR and prints the bucket's URL, the only line on stdout
#   scripts/s3.sh stop DIR    stops it; DIR stays and may be deleted
#
#   export STOA_TEST_S3=$(scripts/s3.sh start /tmp/s3)
set -euo pipefail

version=v1.8.0

fail() {
	echo "s3.sh: $*" >&2
	exit 1
}

[[ $# -eq 2 && ( $1 == start || $1 == stop ) ]] || fail "usage: s3.sh start|stop DIR"
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)

start() {
	[[ -x $dir/versitygw ]] || GOBIN=$dir GOFLAGS= go install "github.com/versity/versitygw/cmd/versitygw@$version" 2>"$dir/build.log" ||
		{ tail -n 20 "$dir/build.log" >&2; fail "the server cannot be built"; }
	mkdir -p "$dir/data/stoa" "$dir/meta"
	local port pid
	for _ in 1 2 3 4 5; do # a port may be taken
		port=$((32000 + RANDOM % 700))
		"$dir/versitygw" --quiet --access stoa --secret stoa-secret --port "127.0.0.1:$port" posix --sidecar "$dir/meta" "$dir/data" \
			>"$dir/server.log" 2>&1 </dev/null &
		pid=$!
		for _ in $(seq 100); do
			kill -0 "$pid" 2>/dev/null || break
			if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
				echo "$pid" >"$dir/pid"
				echo "s3://stoa:stoa-secret@stoa?endpoint=http://127.0.0.1:$port&region=us-east-1"
				return
			fi
			sleep 0.1
		done
	done
	tail -n 20 "$dir/server.log" >&2
	fail "the server did not start"
}

stop() {
	kill "$(cat "$dir/pid")"
}

$action
