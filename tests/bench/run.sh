#!/usr/bin/env bash
# Measures speed and memory: run.sh FOLDER-WITH-THE-PROGRAMS [server|records|snapshots|corpora|peers|operator]... (what `make build` wrote; all parts without one).
#
# What cannot be had here is skipped, and said. RAGOPS_BENCH_DOCUMENTS bounds how many files of each documentation are ingested,
# RAGOPS_BENCH_CHUNKS how many chunks snapshots are taken of, RAGOPS_BENCH_REPLICAS how many servers share one store.
set -euo pipefail
cd "$(dirname "$0")/../.."
programs=$1
shift
[ $# -gt 0 ] || set -- server records snapshots corpora peers operator

# Unpacked and packed, with room to spare for everything else on this disk.
peer_gib=12
cache=${RAGOPS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ragops}

corpora() {
  local folders=() folder
  for corpus in linux-doc python3-doc; do
    folder=$(bash tests/bench/corpora.sh "$corpus") && folders+=("$folder/pages")
  done
  [ -n "${RAGOPS_BENCH_DOCUMENTS:-}" ] || echo "all of it, which takes an hour and more on one core; RAGOPS_BENCH_DOCUMENTS=200 bounds it" >&2
  [ ${#folders[@]} -eq 0 ] || "$programs/measure" corpora --server "$programs/rag-server" "${folders[@]}"
}

# Prints the folder of the peer's packages, or nothing and why.
peer_packages() {
  local wanted=tests/bench/peers/requirements.txt free folder
  mkdir -p "$cache"
  free=$(df --output=avail -BG "$cache" | tail -n 1 | tr -dc 0-9)
  if [ "$free" -lt "$peer_gib" ] && ! compgen -G "$cache/clients-python-$(sha256sum "$wanted" | cut -c1-16)" >/dev/null; then
    echo "txtai: its packages need $peer_gib GiB in $cache while they are installed, and $free are free" >&2
    return
  fi
  echo "txtai: its packages are installed into $cache unless they are there (2.5 GB to download, 4.6 GB there)" >&2
  folder=$(bash tests/clients/setup.sh python "$wanted") || { echo "txtai: its packages cannot be installed" >&2; return 0; }
  echo "$folder/packages"
}

peers() {
  local sources packages
  sources=$(bash tests/bench/corpora.sh linux-doc) || return 0
  packages=$(peer_packages)
  "$programs/measure" peers --server "$programs/rag-server" ${packages:+--packages "$packages"} "$sources/sources"
}

for part in "$@"; do
  echo
  echo "== $part"
  case $part in
    server) "$programs/measure" bench --server "$programs/rag-server" --data tests/eval ;;
    records) "$programs/measure" records --server "$programs/rag-server" --data tests/eval ;;
    snapshots) "$programs/measure" snapshots --server "$programs/rag-server" --data tests/eval ;;
    corpora) corpora ;;
    peers) peers ;;
    operator) "$programs/measure" operator ;;
    *) echo "unknown part \"$part\"; use server, records, snapshots, corpora, peers or operator" >&2; exit 2 ;;
  esac
done
