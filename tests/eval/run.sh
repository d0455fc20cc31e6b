#!/usr/bin/env bash
# Measures retrieval quality: run.sh FOLDER-WITH-THE-PROGRAMS (what `make build` wrote).
#
# A documentation that cannot be had here is left out of the table of fusions, and said.
set -euo pipefail
cd "$(dirname "$0")/../.."
status=0
"$1/measure" quality --server "$1/rag-server" --data tests/eval || status=$?

manuals=(--manual "ragops=$PWD")
for corpus in python3-doc postgresql-doc linux-doc; do
  name=${corpus%-doc}
  folder=$(bash tests/bench/corpora.sh "$corpus") && manuals+=(--manual "${name%3}=$folder/pages")
done
echo
"$1/measure" fusions --server "$1/rag-server" --data tests/eval "${manuals[@]}"
exit "$status"
