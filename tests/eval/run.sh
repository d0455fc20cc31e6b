#!/usr/bin/env bash
# Measures retrieval quality: run.sh FOLDER-WITH-THE-PROGRAMS (what `make build` wrote).
#
# A documentation that cannot be had here is left out of the table of fusions, and said.
set -euo pipefail
cd "$(dirname "$0")/../.."
status=0
"$1/measure" quality --server "$1/rag-server" --data tests/eval || status=$?

manuals=(--manual "ragops=$PWD")
pages=(--own docs)
for corpus in python3-doc postgresql-doc linux-doc; do
  name=${corpus%-doc}
  folder=$(bash tests/bench/corpora.sh "$corpus") || continue
  manuals+=(--manual "${name%3}=$folder/pages")
  case $corpus in
  python3-doc) pages+=(--python "$folder/pages") ;;
  linux-doc) pages+=(--kernel "$folder/pages") ;;
  esac
done
echo
"$1/measure" fusions --server "$1/rag-server" --data tests/eval "${manuals[@]}"
echo
"$1/measure" answers --server "$1/rag-server" --data tests/eval "${pages[@]}"
exit "$status"
