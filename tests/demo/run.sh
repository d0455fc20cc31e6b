#!/usr/bin/env bash
# make demo: the main job on a real node. Builds what is missing, says what it does and how long it takes, stops cleanly.
# KUBECONFIG=... IMAGE_PREFIX=registry/path uses an existing cluster and images that it can pull instead.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
target=${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/debug

fall_back() {
  say "$1, so this runs rag-server alone instead (make demo-local)"
  exec make --no-print-directory demo-local
}

if [ -n "${KUBECONFIG:-}" ]; then
  : "${IMAGE_PREFIX:?set IMAGE_PREFIX to where the cluster can pull ragops-operator, rag-server and qdrant-double from, for example registry.example.com/ragops}"
  command -v kubectl >/dev/null && command -v helm >/dev/null || { echo "make demo on an existing cluster needs kubectl and helm on the PATH" >&2; exit 1; }
  say "building rag-server, which this demo uses as the client"
  cargo build --workspace --bins
  PATH="$PWD/$target:$PATH" exec bash tests/demo/demo.sh
fi

[ "$(uname -s)" = Linux ] || fall_back "a real node needs Linux"
[ "$(id -u)" = 0 ] || fall_back "a real node needs root"
command -v apt-get >/dev/null || fall_back "the node's packages (containerd, runc, ...) are installed with apt-get, which is not here"
for tool in cargo go pip python3 gcc; do command -v $tool >/dev/null || { echo "make demo needs $tool" >&2; exit 1; }; done

say "packages and model (about 2 minutes the first time)"
make --no-print-directory packages model
say "both programs, and Kubernetes 1.37 from Go modules beside them (25 to 35 minutes the first time on 2 cores, seconds after that)"
mkdir -p target
: > target/programs.log
packages=$(cargo tree --workspace --edges normal,build --prefix none 2>/dev/null | sort -u | wc -l)
nice bash tests/cluster/parts/build.sh > target/cluster-parts.log 2>&1 &
parts=$! cargo=
# What runs in the background ignores Ctrl-C, and must not outlive this.
trap 'kill $parts $cargo 2>/dev/null || true' EXIT

# How far both are: the last package and the last program that were begun.
progress() {
  printf '%3d min  programs: %d of about %d packages, now %s; Kubernetes: %d programs, now %s\n' $((SECONDS / 60)) \
    "$(grep -c '^ *Compiling ' target/programs.log)" "$packages" "$(awk '/^ *Compiling /{last=$2} END{print last}' target/programs.log)" \
    "$(grep -c ' built in ' target/cluster-parts.log)" "$(awk '/^parts: .* \.\.\.$/{last=$2} END{print last}' target/cluster-parts.log)"
}

# await PID LOG WHAT: a line a minute until it has ended, and the end of its log when that is a failure.
await() {
  # In the foreground, so that Ctrl-C reaches it as well.
  until timeout --foreground 60 tail -f --pid="$1" /dev/null; do progress; done
  wait "$1" || { tail -n 40 "$2" >&2; echo "$3 not built: see $2" >&2; exit 1; }
}

build() {
  cargo build --workspace "$@" >> target/programs.log 2>&1 &
  cargo=$!
  await $cargo target/programs.log "the programs were"
  cargo=
}

build --bin rag-server
say "rag-server is built after $((SECONDS / 60)) min: here it is alone, while the rest is being built"
bash tests/demo/ask.sh "$target/rag-server"
build --bins
say "both programs are built after $((SECONDS / 60)) min"
await $parts target/cluster-parts.log "Kubernetes was"
trap - EXIT
say "images"
bash tests/images.sh "$target"
say "a real node: control plane, kubelet, containerd, cluster DNS, in a network namespace of its own"
PATH="$PWD/$target:$PATH" exec "$target/cluster" up --node \
  --images target/images/ragops-operator.tar,target/images/rag-server.tar,target/images/qdrant-double.tar \
  --exec tests/demo/demo.sh
