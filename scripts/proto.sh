#!/usr/bin/env bash
# Generates internal/msync/chat.pb.go from chat.proto, with the generator that fits the protobuf module in go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v protoc >/dev/null || scripts/apt.sh protobuf-compiler
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
go build -o "$tools" google.golang.org/protobuf/cmd/protoc-gen-go
PATH=$tools:$PATH go generate ./internal/msync
