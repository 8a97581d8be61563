#!/usr/bin/env bash
# Everything that can be said about the Go code without running it. Ends with status 1 if there is something to say.
set -uo pipefail
cd "$(dirname "$0")/.."

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0
status=0

check() {
	echo "$1"
	shift
	"$@" || status=1
}

formatted() {
	local files
	files=$(find . -name node_modules -prune -o -name '*.go' -print | xargs gofmt -l)
	[[ -z $files ]] || { echo "not formatted: $files"; return 1; }
}

# govulncheck ends with 3 when it has found something, and with 1 when it could not look.
vulnerabilities() {
	local said code
	said=$(go run "$govulncheck" ./... 2>&1)
	code=$?
	# go run turns every status into 1 and prints the real one.
	if [[ $code -ne 0 && $said != *'exit status 3'* && $said =~ (vuln\.go\.dev|dial\ tcp|no\ such\ host|proxyconnect) ]]; then
		echo "skipped: the database of vulnerabilities cannot be reached"
		return 0
	fi
	[[ $code -eq 0 ]] || { echo "$said"; return 1; }
}

check gofmt formatted
check 'go vet' go vet ./...
check staticcheck go run "$staticcheck" ./...
check govulncheck vulnerabilities
exit "$status"
