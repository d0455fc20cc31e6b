#!/usr/bin/env bash
# Fails when tests ask for more features of a dependency than the programs do: it would be built twice, with all that stands on it.
set -euo pipefail
cd "$(dirname "$0")/../.."
built() { cargo tree --locked --workspace --edges "$1" --prefix none --format '{p} {f}' | sed 's/ (\*)$//' | sort -u; }
twice=$(comm -23 <(built normal,build) <(built normal,build,dev))
[ -z "$twice" ] && { echo "features: the same in tests and programs"; exit 0; }
echo "features: built once more for the tests, with other features; give ragops-tests the feature as an ordinary dependency:" >&2
echo "$twice" >&2
exit 1
