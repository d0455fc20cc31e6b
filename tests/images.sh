#!/usr/bin/env bash
# images.sh TARGET: packs the static binaries of TARGET into scratch images, without Docker: target/images/NAME.tar (docker-archive).
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(cd "$1" && pwd)
prefix=${IMAGE_PREFIX:-ragops}
tag=${IMAGE_TAG:-0.1.0}
mkdir -p target/images/bin
for program in ragops-operator rag-server qdrant-double; do
  # Line tables help in tests and are dead weight in an image.
  [ target/images/bin/$program -nt "$bin/$program" ] || strip -o target/images/bin/$program "$bin/$program"
done
# Providers are called over TLS, and an empty root has no authorities to trust.
roots=/etc/ssl/certs/ca-certificates.crt
image() { "$bin/cluster" image "$@"; }
image --name "$prefix/ragops-operator:$tag" --user 65532 --entrypoint /bin/ragops-operator --file target/images/bin/ragops-operator:/bin/ragops-operator --out target/images/ragops-operator.tar
image --name "$prefix/rag-server:$tag" --user 65532 --entrypoint /bin/rag-server --file target/images/bin/rag-server:/bin/rag-server --file model:/model --file "$roots:$roots" --out target/images/rag-server.tar
# Its tag begins with the version of Qdrant whose API it serves.
image --name "$prefix/qdrant-double:1.20-$tag" --user 1000 --entrypoint /bin/qdrant-double --file target/images/bin/qdrant-double:/bin/qdrant-double --out target/images/qdrant-double.tar
ls -sh target/images/*.tar
