#!/usr/bin/env bash
# Breaks the code in one place after the other and runs the unit tests each time. What stays green is not tested.
#
#   BASE=main tests/mutants.sh                            what changed since BASE
#   FILES=rag-core/src/lexical/terms.rs tests/mutants.sh    these files (a glob)
#   MOST=10                                               at most so many, spread over all of them
#
# Works in the checkout itself, because a copy would have to build everything anew: it must be clean, and is again afterwards. The result lies in target/mutants.out.
set -euo pipefail
version=27.1.0
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=${RAGOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ragops}/cargo-mutants-$version

fail() { echo "make mutants: $*" >&2; exit 1; }

[ -n "${BASE:-}${FILES:-}" ] || fail "say what is to be tried: BASE=main for a change, or FILES='rag-core/src/lexical/*.rs'"
[ -z "$(git status --porcelain --untracked-files=no)" ] || fail "commit or stash first: the files are changed in place"
[ -x "$root/bin/cargo-mutants" ] || cargo install cargo-mutants --locked --version "$version" --root "$root"

mkdir -p target
arguments=(--config tests/mutants.toml --in-place --output target --colors never)
if [ -n "${BASE:-}" ]; then
  git diff "$BASE"...HEAD -- operator/src rag-core/src rag-server/src >target/mutants.diff
  [ -s target/mutants.diff ] || fail "nothing changed in the sources since $BASE"
  arguments+=(--in-diff target/mutants.diff)
fi
[ -z "${FILES:-}" ] || arguments+=(--file "$FILES")
if [ -n "${MOST:-}" ]; then
  all=$("$root/bin/cargo-mutants" mutants "${arguments[@]}" --list | wc -l)
  shards=$(((all + MOST - 1) / MOST))
  [ "$shards" -le 1 ] || arguments+=(--shard "0/$shards")
fi
exec "$root/bin/cargo-mutants" mutants "${arguments[@]}"
