#!/usr/bin/env bash
# make demo-local: rag-server alone, nothing else installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
say "building rag-server (about 10 minutes the first time on 2 cores, seconds after that)"
cargo build --workspace --bin rag-server
bash tests/demo/ask.sh "${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/debug/rag-server"
say "done; 'rag-server serve' answers the same over HTTP, see README.md"
