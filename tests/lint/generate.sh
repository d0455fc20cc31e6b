#!/usr/bin/env bash
# Writes the generated files; with --check it only says which of them are out of date.
set -euo pipefail
cd "$(dirname "$0")/../.."
fresh=$(mktemp -d); trap 'rm -rf "$fresh"' EXIT
# The whole workspace's features, as everywhere: another selection would build the dependencies once more.
cargo build -q --workspace --bin ragops-operator --bin rag-server
programs="${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/debug"
"$programs/ragops-operator" crd > "$fresh/ragclusters.yaml"
"$programs/rag-server" keys > "$fresh/configuration-reference.md"
{ echo '{{- /* Copied from crds/ by `make generate`. A template, so that an upgrade of the release upgrades it; kept when the release goes. */ -}}'
  sed 's/^metadata:$/metadata:\n  annotations:\n    helm.sh\/resource-policy: keep/' "$fresh/ragclusters.yaml"; } > "$fresh/crd_ragclusters.yaml"
status=0
while read -r made kept; do
  cmp -s "$fresh/$made" "$kept" && continue
  if [ "${1:-}" = --check ]; then
    echo "$kept is out of date; run make generate and commit it" >&2
    diff -u "$kept" "$fresh/$made" | head -n 20 >&2 || true
    status=1
  else
    mkdir -p "$(dirname "$kept")"
    cp "$fresh/$made" "$kept"
    echo "wrote $kept"
  fi
done <<'FILES'
ragclusters.yaml crds/ragclusters.yaml
configuration-reference.md docs/configuration-reference.md
crd_ragclusters.yaml charts/ragops/templates/crd_ragclusters.yaml
FILES
exit $status
