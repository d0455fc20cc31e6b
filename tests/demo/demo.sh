#!/usr/bin/env bash
# The main job, as a platform engineer types it. Needs KUBECONFIG, and kubectl, helm and rag-server on the PATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
namespace=rag-demo
prefix=${IMAGE_PREFIX:-ragops}
tag=${IMAGE_TAG:-0.1.0}
start=$SECONDS
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
run() { printf '\n\033[2m$ %s\033[0m\n' "$*"; "$@"; }
scratch=$(mktemp -d)
forward=
finish() {
  code=$?
  [ -z "$forward" ] || kill "$forward" 2>/dev/null || true
  rm -rf "$scratch"
  if [ $code -ne 0 ]; then
    say "the demo failed; what the cluster says"
    kubectl -n $namespace get rag,pods -o wide || true
    kubectl -n $namespace get events --sort-by=.lastTimestamp | tail -n 30 || true
    kubectl -n $namespace logs -l app.kubernetes.io/component=operator --tail=20 || true
  fi
}
trap finish EXIT

ask() { # CLUSTER EXPECTED QUESTION
  local code=0
  printf '\n\033[2m$ rag-server query --server ... "%s"\033[0m\n' "$3"
  rag-server query --server "$url" --key-file "$scratch/key" "$3" || code=$?
  case "$2:$code" in
    answered:0 | refused:3) ;;
    *) echo "expected this question to be $2; exit code $code" >&2; return 1 ;;
  esac
}

connect() { # CLUSTER: forwards its Service to a free port of this machine
  [ -z "$forward" ] || kill "$forward" 2>/dev/null || true
  kubectl -n $namespace get secret "$1-key-default" -o jsonpath='{.data.key}' | base64 -d > "$scratch/key"
  exec 3< <(exec kubectl -n $namespace port-forward "svc/$1" :8080 2>&1)
  forward=$!
  local line=
  read -r -t 30 line <&3 || true
  [[ $line =~ ^Forwarding\ from\ 127\.0\.0\.1:([0-9]+) ]] || { echo "the Service is not forwarded: ${line:-kubectl says nothing}" >&2; return 1; }
  url=http://127.0.0.1:${BASH_REMATCH[1]}
}

say "install the operator with its chart"
run helm upgrade --install ragops charts/ragops --namespace $namespace --create-namespace \
  --set image.repository="$prefix/ragops-operator",image.tag="$tag",serverImage="$prefix/rag-server:$tag",qdrantImage="$prefix/qdrant-double:1.20-$tag" --wait --timeout 3m

say "a Development cluster: one server with the embedded engine"
run kubectl -n $namespace apply -f examples/02-development-embedded.yaml
laptop=$(sed -n 's/^  name: //p' examples/02-development-embedded.yaml | head -n 1)
run kubectl -n $namespace wait --for=condition=Ready "rag/$laptop" --timeout=3m
connect "$laptop"
run rag-server ingest examples/documents --server "$url" --key-file "$scratch/key"
ask "$laptop" answered "How long are snapshots kept?"

say "a Production cluster: three servers over a managed Qdrant (here its double: no registry has the real one)"
run kubectl -n $namespace apply -f examples/01-minimal.yaml
production=$(sed -n 's/^  name: //p' examples/01-minimal.yaml | head -n 1)
run kubectl -n $namespace wait --for=condition=Ready "rag/$production" --timeout=4m
connect "$production"
run rag-server ingest examples/documents --server "$url" --key-file "$scratch/key"
ask "$production" answered "How long are snapshots kept?"
ask "$production" answered "When does the autoscaler add servers?"
ask "$production" refused "Who won the cup in 1954?"

say "what the platform team reads"
run kubectl -n $namespace get rag
run kubectl -n $namespace describe rag "$production"
run kubectl -n $namespace get events --field-selector involvedObject.kind=RagCluster --sort-by=.metadata.creationTimestamp
say "done in $((SECONDS - start)) s from the first command; stopping"
