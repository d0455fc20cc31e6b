#!/usr/bin/env bash
# Builds every test program, and Kubernetes beside it: the two share the cores, and on a warm cache both are done at once.
set -euo pipefail
cd "$(dirname "$0")/.."
start=$SECONDS
mkdir -p target
nice bash tests/cluster/parts/build.sh > target/cluster-parts.log 2>&1 &
parts=$!
# The Go build must not outlive a build that was stopped.
trap 'kill "$parts" 2>/dev/null || true' EXIT
cargo test --workspace --no-run
echo "tests built in $((SECONDS - start)) s; waiting for Kubernetes (target/cluster-parts.log)"
if wait "$parts"; then
  echo "Kubernetes is there after $((SECONDS - start)) s"
else
  tail -n 20 target/cluster-parts.log >&2
  echo "Kubernetes was not built: see target/cluster-parts.log" >&2
  exit 1
fi
trap - EXIT
