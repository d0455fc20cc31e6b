#!/usr/bin/env bash
# Builds the Kubernetes programs that the cluster tests, `make cluster` and `make demo` run, from Go modules.
#
#   build.sh [control-plane] [node]    builds what is missing (default: both groups)
#   build.sh --where                   prints the folder of the programs
#
# The folder lies outside the checkout and is named by its inputs: ${RAGOPS_CACHE:-~/.cache/ragops}/kubernetes-VERSION-HASH.
# Each program appears whole or not at all, so an interrupted run is continued by the next.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=versions.env
source "$here/versions.env"

cache=${RAGOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ragops}
key=$(cd "$here" && cat go.mod go.sum tools.go versions.env | sha256sum | cut -c1-12)
root=$cache/kubernetes-$KUBERNETES-$key
bin=$root/bin

say() { printf 'parts: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

groups=()
for argument in "$@"; do
  case $argument in
    --where) echo "$bin"; exit 0 ;;
    control-plane | node) groups+=("$argument") ;;
    *) die "unknown argument \"$argument\"; use control-plane, node or --where" ;;
  esac
done
[ ${#groups[@]} -gt 0 ] || groups=(control-plane node)

# name, about how many seconds from a cold Go cache on two cores
control_plane=(etcd:20 kube-apiserver:270 kube-controller-manager:90 kube-scheduler:10 kubectl:20 kwok:65 helm:75)
node=(kubelet:25 kube-proxy:15 coredns:95 metrics-server:110)

wanted=()
for group in "${groups[@]}"; do
  case $group in
    control-plane) wanted+=("${control_plane[@]}") ;;
    node) wanted+=("${node[@]}") ;;
  esac
done

missing=() seconds=0
for part in "${wanted[@]}"; do
  [ -x "$bin/${part%:*}" ] || { missing+=("$part"); seconds=$((seconds + ${part#*:})); }
done
if [ ${#missing[@]} -eq 0 ] && [ -d "$root/stages" ]; then
  say "complete: $bin"
  exit 0
fi
command -v go >/dev/null || die "the Go toolchain is missing; install Go 1.26 or newer"

mkdir -p "$bin"
exec 9>"$root/lock"
flock -n 9 || { say "another build is running; waiting for it"; flock 9; }
say "building ${#missing[@]} programs into $bin, about $(((seconds + 59) / 60)) minutes on two cores with a cold Go cache"

export CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOTOOLCHAIN=local
version_package=k8s.io/component-base/version
kubernetes_flags="-s -w -X $version_package.gitVersion=v$KUBERNETES -X $version_package.gitMajor=${KUBERNETES%%.*}"
kubernetes_flags+=" -X $version_package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES") -X $version_package.gitTreeState=clean"

# From the pinned module of this folder.
from_module() { (cd "$here" && go build -mod=readonly -ldflags "$2" -o "$3" "$1"); }

# A program with a module graph of its own, by exact version.
from_version() {
  local package=$1 flags=$2 output=$3 staging
  staging=$(mktemp -d "$root/install.XXXXXX")
  GOBIN=$staging go install -ldflags "$flags" "$package"
  mv "$staging/$(basename "${package%@*}")" "$output"
  rmdir "$staging"
}

build() {
  local name=$1 output=$2
  case $name in
    etcd) from_module go.etcd.io/etcd/server/v3 "-s -w" "$output" ;;
    kube* ) from_module "k8s.io/kubernetes/cmd/$name" "$kubernetes_flags" "$output" ;;
    kwok) from_version "sigs.k8s.io/kwok/cmd/kwok@v$KWOK" "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=v$KWOK" "$output" ;;
    helm) from_version "helm.sh/helm/v4/cmd/helm@v$HELM" "-s -w -X helm.sh/helm/v4/internal/version.version=v$HELM" "$output" ;;
    metrics-server) from_version "sigs.k8s.io/metrics-server/cmd/metrics-server@v$METRICS_SERVER" "-s -w" "$output" ;;
    coredns) from_version "github.com/coredns/coredns@v$COREDNS" "-s -w" "$output" ;;
  esac
}

# KWOK's behaviour of nodes and pods is data in its module, not part of the program.
copy_stages() {
  local source staging=$root/stages.new
  source=$(go mod download -json "sigs.k8s.io/kwok@v$KWOK" | sed -n 's/^\s*"Dir": "\(.*\)",\{0,1\}$/\1/p')
  [ -d "$source/kustomize/stage" ] || die "KWOK $KWOK carries no stages under $source"
  rm -rf "$staging"
  mkdir -p "$staging"
  for stage in node/fast node/heartbeat-with-lease pod/fast volume/fast; do
    # Only stages: the rest of each folder tells kustomize how to deploy KWOK.
    for file in $(grep -l '^kind: Stage$' "$source/kustomize/stage/$stage"/*.yaml); do
      cp "$file" "$staging/"
    done
  done
  chmod -R u+w "$staging"
  rm -rf "$root/stages"
  mv "$staging" "$root/stages"
}

copy_stages
for part in "${missing[@]}"; do
  name=${part%:*}
  [ -x "$bin/$name" ] && continue
  started=$SECONDS
  say "$name ..."
  build "$name" "$bin/.$name.new"
  mv "$bin/.$name.new" "$bin/$name"
  say "$name built in $((SECONDS - started)) s"
done
say "complete: $bin"
