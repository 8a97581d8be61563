#!/usr/bin/env bash
# Measures Stoa and its peers in turn, in one sitting on this machine, and writes docs/performance.md.
#
#   BENCH=FOLDER scripts/bench-peers.sh
#
# FOLDER holds the load generator that drives them all, chatbench, with the relays and the storage ceilings. It is built
# into a temporary folder and left as it is. The peers that Debian has (ejabberd with PostgreSQL, Prosody) are installed,
# which takes root. Everything that was started is stopped at the end, and the temporary folder goes.
#
#   QUICK=1         small sizes and short windows, to try the script: the figures mean nothing
#   TARGETS='…'     which peers; default: relay-coalesce relay-gws centrifuge ejabberd prosody
#   OUT=FILE        what to write; default: docs/performance.md, with QUICK standard output
#   GROWTH='U M'    users and messages in the database that goal 13 is measured with; default 1000000 10000000; 0: leave out
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

fail() {
	echo "bench-peers: $*" >&2
	exit 1
}
say() { echo "$(date +%T) $*" >&2; }

[[ -n ${BENCH:-} && -d $BENCH/cmd/chatbench ]] || fail "BENCH must name the folder of the load generator: make bench-peers BENCH=FOLDER"
bench=$(cd "$BENCH" && pwd)
targets=${TARGETS:-relay-coalesce relay-gws centrifuge ejabberd prosody}
if [[ -n ${QUICK:-} ]]; then
	window=1s warmup=500ms repeat=1 pairs=20 group=50 room=100 idle=200 stored=500 rate=(200 500) many=5
	growth=${GROWTH:-2000 20000} out=${OUT:-/dev/stdout} storage=200ms
else
	window=3s warmup=1s repeat=2 pairs=100 group=500 room=5000 idle=5000 stored=10000 rate=(600 6000) many=10
	growth=${GROWTH:-1000000 10000000} out=${OUT:-docs/performance.md} storage=1s
fi
runs=$((repeat == 1 ? 1 : 5)) # of Stoa's own workloads
# A peer that was started with fewer files than it has users would be measured at its limit.
ulimit -n "$(ulimit -Hn)"
[[ $(ulimit -n) == unlimited || $(ulimit -n) -ge $((2 * idle + 200)) ]] || fail "$((2 * idle + 200)) open files are needed"

work=$(mktemp -d "${TMPDIR:-/tmp}/stoa-peers.XXXXXX")
chmod 755 "$work" # the peers run as users of their own
mkdir "$work"/{bin,goals}
started=() # process ids

stop() { # PID
	kill "$1" 2>/dev/null || return 0
	for _ in $(seq 100); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -9 "$1" 2>/dev/null || true
}
stop_all() {
	local pid
	for pid in "${started[@]}"; do stop "$pid"; done
	started=()
}
clean_up() {
	stop_all
	[[ ! -e $work/postgres/data/postmaster.pid ]] || scripts/postgres.sh stop "$work/postgres"
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# unused ADDRESS: a server that is there already would be measured in place of ours.
unused() {
	! (: <"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null || fail "somebody listens on $1 already"
}

# await ADDRESS: until somebody listens on it.
await() {
	local i
	for i in $(seq 200); do
		(: <"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null && return
		sleep 0.1
	done
	fail "nobody listens on $1"
}

# launch ADDRESS COMMAND…: starts a server and waits for it; $launched is its process.
launch() {
	local address=$1
	shift
	unused "$address"
	"$@" >"$work/server-${address##*:}.log" 2>&1 </dev/null &
	launched=$!
	started+=("$launched")
	await "$address"
}

# chatbench TARGET DRIVER ADDRESS PIDS WORKLOADS [FLAG…], once for each server: the state is the accounts that it has.
chatbench() {
	local name target=$1 driver=$2 address=$3 pids=$4 names=$5
	shift 5
	rm -rf "$work/state"
	mkdir "$work/state"
	for name in ${names//,/ }; do
		say "$target $name"
		# A server that answers nothing would be waited for without end.
		timeout 120 "$work/bin/chatbench" run -target "$target" -driver "$driver" -addr "$address" -pids "$pids" -workloads "$name" -state "$work/state" \
			-out "$work/results.jsonl" -window $window -warmup $warmup -repeat $repeat -pairs $pairs -group $group -room $room \
			-idle $idle -stored $stored "$@" >"$work/chatbench.log" 2>&1 || tail -n 5 "$work/chatbench.log" >&2
		grep -v = "$work/chatbench.log" >&2 || true # what it could not measure; it goes on then
	done
}

packages() { # the Debian packages of the wanted peers that are not there
	local wanted=()
	[[ $targets != *ejabberd* ]] || wanted+=(ejabberd erlang-p1-pgsql)
	[[ $targets != *prosody* ]] || wanted+=(prosody lua-dbi-sqlite3)
	local name
	for name in "${wanted[@]}"; do
		dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || echo "$name"
	done
}

install_peers() {
	local missing
	mapfile -t missing < <(packages)
	[[ ${#missing[@]} -gt 0 ]] || return 0
	say "installing ${missing[*]}"
	# The packages would start servers of their own.
	local policy=/usr/sbin/policy-rc.d
	if [[ ! -e $policy ]]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
	else
		policy=
	fi
	scripts/apt.sh "${missing[@]}" || { rm -f ${policy:+"$policy"}; fail "the peers could not be installed"; }
	rm -f ${policy:+"$policy"}
}

database() {
	database_url=$(scripts/postgres.sh start "$work/postgres")
	database_pid=$(head -n 1 "$work/postgres/data/postmaster.pid")
	database_port=${database_url##*127.0.0.1:}
	database_port=${database_port%%/*}
}

# Connections at rest come first: memory that other workloads have left would hide what they take.
peer() { # NAME
	local pid
	case $1 in
	relay-*)
		launch 127.0.0.1:7103 "$work/bin/relay" -ws "${1#relay-}" -addr 127.0.0.1:7103
		chatbench "$1" relay 127.0.0.1:7103 "$launched" idle,direct,group,room
		;;
	centrifuge)
		launch 127.0.0.1:7200 "$work/bin/centrifuge" -addr 127.0.0.1:7200
		chatbench "$1" centrifuge 127.0.0.1:7200 "$launched" idle,direct,group,room,catchup
		;;
	ejabberd)
		database
		psql -q "$database_url" -c 'CREATE DATABASE ejabberd'
		psql -q -h 127.0.0.1 -p "$database_port" -U postgres -d ejabberd -f /usr/share/ejabberd/sql/pg.sql >/dev/null
		unused 127.0.0.1:15222
		pid=$(PGPORT=$database_port bash "$bench/peers/ejabberd.sh" pgsql "$work/ejabberd")
		started+=("$pid")
		await 127.0.0.1:15222
		chatbench "$1" xmpp 127.0.0.1:15222 "$pid,$database_pid" idle,direct,group,room,catchup
		stop_all
		scripts/postgres.sh stop "$work/postgres"
		rm -rf "$work/postgres"
		;;
	prosody)
		unused 127.0.0.1:16222
		pid=$(bash "$bench/peers/prosody.sh" "$work/prosody")
		started+=("$pid")
		await 127.0.0.1:16222
		# It answers so slowly that more users would only fill its queues.
		chatbench "$1" xmpp 127.0.0.1:16222 "$pid" direct,group -inflight 2
		;;
	*) fail "there is no peer $1" ;;
	esac
	stop_all
}

# launch_stoa PORT COMMAND…: until it says that it serves.
launch_stoa() {
	local port=$1
	shift
	launch "127.0.0.1:$port" "$work/bin/stoa" "$@" --listen "127.0.0.1:$port"
	until grep -q ^REST "$work/server-$port.log"; do sleep 0.05; done
}

# stoa_server [PORT [keep]]: a development server, with fresh data if it is not to keep what it has.
stoa_server() {
	local port=${1:-7400}
	[[ ${2:-} == keep ]] || rm -rf "$work/stoa-$port"
	launch_stoa "$port" dev --data "$work/stoa-$port"
}

# goal NAME WORKLOAD [FLAG…]: measures one of Stoa's own workloads on a server with fresh data.
goal() {
	local name=$1
	shift
	say "stoa bench $*"
	stoa_server
	measure_goal "$name" 7400 "$launched" "$@"
	stop_all
}

# measure_goal NAME[.RUN] PORT PID WORKLOAD [FLAG…]
measure_goal() {
	local name=$1 port=$2 pid=$3
	shift 3
	"$work/bin/stoa" bench "$@" --url "http://127.0.0.1:$port" --pid "$pid" --duration $window --warmup $warmup --json >"$work/goals/$name.json" \
		2>"$work/goals/$name.log" || tail -n 3 "$work/goals/$name.log" >&2
	echo "stoa bench $*" >"$work/goals/${name%.[0-9]*}.command"
}

stoa() {
	local i
	stoa_server
	chatbench stoa stoa 127.0.0.1:7400 "$launched" direct,group,room,catchup
	stop_all
	stoa_server # memory that other workloads have left would hide what a connection takes
	chatbench stoa stoa 127.0.0.1:7400 "$launched" idle
	stop_all
	goal direct-16 direct --pairs $pairs --in-flight 16 --repeat $runs
	goal direct-1 direct --pairs $pairs --in-flight 1 --repeat $runs
	goal open-low open --pairs $pairs --rate "${rate[0]}" --repeat $runs
	goal open-high open --pairs $pairs --rate "${rate[1]}" --repeat $runs
	goal group-1 group --members $group --repeat $runs
	goal group-10 group --members $group --senders $many --repeat $runs
	goal room room --members $room --repeat $runs
	goal idle idle --users $idle
	goal logins logins --users $idle --repeat $runs
	goal catchup catchup --messages $stored --repeat $runs
	say "stoa bench start"
	"$work/bin/stoa" bench start --json >"$work/goals/start.json"
	echo "stoa bench start" >"$work/goals/start.command"
}

# grown SIDE=PORT=PID…: what goal 13 compares. With several servers each run goes to all of them in turn, since the machine
# is not as fast in one minute as in the next.
grown() {
	local workload run times side port pid
	for workload in direct group catchup; do
		times=$runs
		[[ $workload != catchup ]] || times=$((3 * times)) # its 50 ms of CPU time depend on what else happens in them
		for run in $(seq $times); do
			for side in "$@"; do
				IFS='=' read -r side port pid <<<"$side"
				case $workload in
				direct) measure_goal "$side-direct.$run" "$port" "$pid" direct --pairs $pairs --in-flight 16 ;;
				group) measure_goal "$side-group.$run" "$port" "$pid" group --members $group ;;
				catchup) measure_goal "$side-catchup.$run" "$port" "$pid" catchup --messages $stored ;;
				esac
			done
		done
	done
}

# growth: the same with an empty database and with a full one.
growth() {
	local users messages empty
	read -r users messages <<<"$growth"
	[[ $users -gt 0 ]] || return 0
	stoa_server # makes the app
	stop_all
	say "a database with $users users and $messages messages"
	"$work/bin/stoa" bench seed --data "$work/stoa-7400" --users "$users" --messages "$messages" >&2 2>"$work/seed.log" || { tail -n 3 "$work/seed.log" >&2; return 0; }
	say "the full and an empty database"
	stoa_server 7401
	empty=$launched
	stoa_server 7400 keep
	grown empty=7401="$empty" full=7400="$launched"
	stop_all
	rm -rf "$work"/stoa-*

	# PostgreSQL, with a tenth of that: its rows are written one by one.
	database
	postgres_server
	say "an empty PostgreSQL"
	grown postgres-empty=7400="$launched"
	stop_all
	say "a PostgreSQL with $((users / 10)) users and $((messages / 10)) messages"
	"$work/bin/stoa" bench seed --database-url "$database_url" --app stoa#bench --users $((users / 10)) --messages $((messages / 10)) >&2 \
		2>"$work/seed.log" || tail -n 3 "$work/seed.log" >&2
	postgres_server
	grown postgres-full=7400="$launched"
	stop_all
	unset STOA_APP STOA_CLIENT_ID STOA_CLIENT_SECRET
	scripts/postgres.sh stop "$work/postgres"
	rm -rf "$work/postgres"
}

# postgres_server: a server on PostgreSQL, whose users may send as fast as those of stoa dev.
postgres_server() {
	launch_stoa 7400 serve --admin-listen '' --data "$work/stoa-7400" --app stoa#bench --database-url "$database_url"
	[[ -z ${STOA_CLIENT_ID:-} ]] || return 0
	export STOA_APP=stoa#bench STOA_CLIENT_ID STOA_CLIENT_SECRET
	STOA_CLIENT_ID=$(awk '/^Client ID/ { print $3 }' "$work/server-7400.log")
	STOA_CLIENT_SECRET=$(awk '/^Client secret/ { print $3 }' "$work/server-7400.log")
	"$work/bin/stoa" app --url http://127.0.0.1:7400 messages_per_second=0 >/dev/null
}

say "building"
go build -o "$work/bin/stoa" ./cmd/stoa
(cd "$bench" && go build -o "$work/bin/" ./cmd/...)
install_peers
: >"$work/results.jsonl"
begun=$SECONDS

say "storage"
database
"$work/bin/storebench" -folder "$work" -batches 1,128 -window $storage -repeat 1 -postgres "$database_url" -postgres-pid "$database_pid" >"$work/storage.md"
scripts/postgres.sh stop "$work/postgres"
rm -rf "$work/postgres"
[[ -n ${NOSTOA:-} ]] || stoa
for target in $targets; do peer "$target"; done
growth

say "writing"
cat >"$work/meta.json" <<META
{"date": "$(date -u +%F)", "commit": "$(git rev-parse --short=10 HEAD)$(git diff --quiet HEAD || echo ' with changes')",
"go": "$(go env GOVERSION)", "kernel": "$(uname -sr)", "cpu": "$(awk -F ': ' '/model name/ { print $2; exit }' /proc/cpuinfo)",
"cpus": $(nproc), "memory": "$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)",
"disk": "$(df --output=fstype "$work" | tail -n 1)", "load": "$(cut -d ' ' -f 1 /proc/loadavg)",
"minutes": $(((SECONDS - begun + 59) / 60)), "window": "$window", "repeat": $repeat, "runs": $runs, "users": ${growth% *}, "messages": ${growth#* }, "quick": $([[ -n ${QUICK:-} ]] && echo true || echo false),
"versions": {"ejabberd": "$(dpkg-query -W -f '${Version}' ejabberd 2>/dev/null)", "prosody": "$(dpkg-query -W -f '${Version}' prosody 2>/dev/null)",
"centrifuge": "$(cd "$bench" && go list -m -f '{{.Version}}' github.com/centrifugal/centrifuge)"}}
META
node scripts/performance.mjs "$work" >"$work/performance.md"
cat "$work/performance.md" >"$out"
