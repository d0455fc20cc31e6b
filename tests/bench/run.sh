#!/usr/bin/env bash
# Measures speed and memory: run.sh FOLDER-WITH-THE-PROGRAMS (what `make build` wrote).
set -euo pipefail
cd "$(dirname "$0")/../.."
"$1/measure" bench --server "$1/rag-server" --data tests/eval
echo
"$1/measure" operator
