#!/usr/bin/env bash
# ask.sh RAG_SERVER: the built server alone. Ingests the sample documents and asks three questions, one of which must be refused.
set -euo pipefail
cd "$(dirname "$0")/../.."
server=$1
scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT
export RAG__VECTOR_STORE__EMBEDDED__PATH=$scratch/data
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() { printf '\n\033[2m$ %s\033[0m\n' "${*/#$server/rag-server}"; "$@"; }
say "ingest"
run "$server" ingest examples/documents
say "ask"
run "$server" query "How long are snapshots kept?"
run "$server" query "When does the autoscaler add servers?"
code=0; run "$server" query "Who won the cup in 1954?" || code=$?
[ "$code" = 3 ] || { echo "the last question has no answer in these documents and should have been refused (exit code 3), got $code" >&2; exit 1; }
