#!/usr/bin/env bash
# Measures retrieval quality: run.sh FOLDER-WITH-THE-PROGRAMS (what `make build` wrote).
set -euo pipefail
cd "$(dirname "$0")/../.."
exec "$1/measure" quality --server "$1/rag-server" --data tests/eval
