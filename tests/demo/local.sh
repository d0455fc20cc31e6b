#!/usr/bin/env bash
# make demo-local: rag-server alone, nothing else installed. Ingests the sample documents and asks three questions.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
say "building rag-server (about 10 minutes the first time on 2 cores, seconds after that)"
cargo build --workspace --bin rag-server
server=${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/debug/rag-server
scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT
export RAG__VECTOR_STORE__EMBEDDED__PATH=$scratch/data
run() { printf '\n\033[2m$ %s\033[0m\n' "${*/#$server/rag-server}"; "$@"; }
say "ingest"
run "$server" ingest examples/documents
say "ask"
run "$server" query "How long are snapshots kept?"
run "$server" query "When does the autoscaler add servers?"
code=0; run "$server" query "Who won the cup in 1954?" || code=$?
[ "$code" = 3 ] || { echo "the last question has no answer in these documents and should have been refused (exit code 3), got $code" >&2; exit 1; }
say "done; 'rag-server serve' answers the same over HTTP, see README.md"
