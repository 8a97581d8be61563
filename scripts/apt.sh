#!/usr/bin/env bash
# Installs Debian packages without asking anything: scripts/apt.sh PACKAGE...
# It waits while another installation runs, and tries again when a mirror does not answer.
set -euo pipefail

root=()
if [[ $(id -u) -ne 0 ]]; then
	sudo -n true 2>/dev/null || {
		echo "apt.sh: $* must be installed, and this user is not root" >&2
		exit 1
	}
	root=(sudo -n)
fi
command -v apt-get >/dev/null || {
	echo "apt.sh: $* must be installed, and there is no apt-get" >&2
	exit 1
}

install() {
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c '
		apt-get -qq -o DPkg::Lock::Timeout=300 update &&
		apt-get -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@"' sh "$@"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for pause in 5 15 0; do
	install "$@" >"$log" 2>&1 </dev/null && exit 0
	sleep "$pause"
done
cat "$log" >&2
echo "apt.sh: $* could not be installed" >&2
exit 1
