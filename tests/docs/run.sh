#!/usr/bin/env bash
# run.sh PAGE...: runs the ```sh blocks of documentation pages in order, one shell a page, from a copy of the repository's charts and examples.
# A command that fails is named with its page; nothing is left running. QDRANT_IMAGE replaces the chart's default where the real image cannot be pulled.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
for page in "$@"; do
  scratch=$(mktemp -d)
  cp -r "$root/charts" "$root/examples" "$scratch"
  [ -z "${QDRANT_IMAGE:-}" ] || sed -i "s#^qdrantImage: .*#qdrantImage: $QDRANT_IMAGE#" "$scratch/charts/ragops/values.yaml"
  blocks=$(awk '/^```sh$/{on=1; next} /^```$/{on=0} on' "$root/$page")
  [ -n "$blocks" ] || { echo "$page holds no commands" >&2; exit 1; }
  echo "== $page: $(grep -c . <<<"$blocks") lines"
  # -m gives each background command a group of its own, as in a terminal.
  (cd "$scratch" && timeout 900 bash -emuo pipefail -c "trap 'code=\$?; for job in \$(jobs -p); do kill \$job 2>/dev/null; done; [ \$code = 0 ] || echo \"$page: failed: \$BASH_COMMAND\" >&2' EXIT
$blocks") </dev/null || exit 1
  rm -rf "$scratch"
done
