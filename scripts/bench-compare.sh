#!/usr/bin/env bash
# Compares the Go benchmarks of a revision with those of the working tree: scripts/bench-compare.sh REVISION
#
# The two are run in turn, so that what else the machine does falls on both. The revision's files are put into a folder of
# their own for the time.
#
#   COUNT=8         how often each is run
#   PACKAGES='…'    what to run; default: the message path
#   BENCH=.         which benchmarks
set -euo pipefail
cd "$(dirname "$0")/.."

benchstat=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
count=${COUNT:-8}
bench=${BENCH:-.}
read -ra packages <<<"${PACKAGES:-./internal/msync ./internal/bus ./internal/token ./internal/delivery ./internal/gateway ./internal/store/sqlite}"

[[ $# -eq 1 && -n $1 ]] || {
	echo "usage: make bench-compare BASE=REVISION" >&2
	exit 2
}
base=$(git rev-parse --verify --quiet "$1^{commit}") || {
	echo "bench-compare: there is no revision $1" >&2
	exit 2
}
work=$(mktemp -d "${TMPDIR:-/tmp}/stoa-compare.XXXXXX")
clean_up() {
	[[ ! -e $work/tree ]] || git worktree remove --force "$work/tree"
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
git worktree add --quiet --detach "$work/tree" "$base"

# build FOLDER NAME: the programs that hold the benchmarks, so that no run waits for the compiler.
build() {
	local package
	mkdir -p "$work/$2"
	for package in "${packages[@]}"; do
		[[ -d $1/$package ]] || continue # newer than the revision
		(cd "$1" && go test -c -o "$work/$2/${package//\//_}.test" "$package")
	done
}

# run FOLDER NAME: every benchmark once.
run() {
	local package program
	for package in "${packages[@]}"; do
		program=$work/$2/${package//\//_}.test
		[[ -x $program ]] || continue
		(cd "$1/$package" && "$program" -test.run '^$' -test.bench "$bench" -test.benchmem) >>"$work/$2.txt"
	done
}

build "$work/tree" base
build . head
for ((i = 1; i <= count; i++)); do
	printf '\rrun %d of %d ' "$i" "$count" >&2
	run "$work/tree" base
	run . head
done
echo >&2
echo "base: $1 (${base:0:10}), head: the working tree"
go run "$benchstat" "base=$work/base.txt" "head=$work/head.txt"
