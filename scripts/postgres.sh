#!/usr/bin/env bash
# A PostgreSQL server for tests.
#
#   scripts/postgres.sh start DIR   makes a cluster in DIR (or takes the one that is there), starts it on a free loopback
#                                   port and prints its URL, the only line on stdout
#   scripts/postgres.sh stop DIR    stops it; DIR stays and may be deleted
#
#   export STOA_TEST_POSTGRES=$(scripts/postgres.sh start /tmp/pg)
#
# PostgreSQL refuses to run as root: then it runs as the user postgres, who must be able to reach DIR. If it is not
# installed, Debian's package is (as root only).
set -euo pipefail

fail() {
	echo "postgres.sh: $*" >&2
	exit 1
}

[[ $# -eq 2 && ( $1 == start || $1 == stop ) ]] || fail "usage: postgres.sh start|stop DIR"
action=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
dir=$(cd "$2" && pwd)

# Debian keeps the server's programs out of PATH.
find_programs() {
	local newest
	newest=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
	PATH=$newest:$PATH
	command -v initdb >/dev/null && command -v pg_ctl >/dev/null && command -v pg_isready >/dev/null
}

install_programs() {
	[[ $(id -u) -eq 0 ]] || fail "initdb is not installed; install PostgreSQL or run as root"
	# The package would make and start a cluster of its own.
	mkdir -p /etc/postgresql-common
	[[ -e /etc/postgresql-common/createcluster.conf ]] ||
		echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
	"$here/apt.sh" postgresql || fail "installation did not succeed"
	find_programs || fail "initdb is still missing"
}

as_postgres() {
	if [[ $(id -u) -eq 0 ]]; then
		setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
	else
		"$@"
	fi
}

start() {
	find_programs || install_programs
	cd / # the folder that we were called in may be closed to the user postgres
	if [[ ! -e $dir/data/PG_VERSION ]]; then
		mkdir -p "$dir/data"
		[[ $(id -u) -ne 0 ]] || chown postgres: "$dir/data"
		as_postgres initdb -D "$dir/data" -U postgres --auth=trust -E UTF8 --locale=C.UTF-8 >"$dir/initdb.log" 2>&1 ||
			{ cat "$dir/initdb.log" >&2; fail "initdb did not succeed"; }
		as_postgres tee -a "$dir/data/postgresql.conf" >/dev/null <<-'CONF'
			listen_addresses = '127.0.0.1'
			unix_socket_directories = ''
			max_connections = 300
			shared_buffers = 64MB
			fsync = on
		CONF
	fi
	if as_postgres pg_ctl -D "$dir/data" status >/dev/null; then
		fail "a server is already running in $dir"
	fi
	local port
	for _ in 1 2 3 4 5; do # a port may be taken, and PostgreSQL cannot choose one
		port=$((20000 + RANDOM % 12000))
		if as_postgres pg_ctl -D "$dir/data" -l "$dir/data/server.log" -o "-p $port" -w -t 60 start >/dev/null 2>&1 &&
			pg_isready -q -h 127.0.0.1 -p "$port" -t 30; then
			echo "postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable"
			return
		fi
	done
	tail -n 20 "$dir/data/server.log" >&2
	fail "the server did not start"
}

stop() {
	find_programs || fail "pg_ctl is not installed"
	cd /
	as_postgres pg_ctl -D "$dir/data" -m fast -w stop >/dev/null
}

$action
