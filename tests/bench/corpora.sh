#!/usr/bin/env bash
# Unpacks the newest documentation that a Debian metapackage stands for into a cache outside the checkout, and prints where it is.
#
#   corpora.sh linux-doc | python3-doc | postgresql-doc
#
# Below the printed folder: pages/, the HTML that a reader sees, and, of those that Sphinx made, sources/, the reStructuredText that they were made
# from. Sphinx keeps both in one folder; somebody who ingests it means the pages, and with the sources every text would be there twice.
# Exit code 3: it cannot be had on this machine.
set -euo pipefail
metapackage=${1:?usage: corpora.sh linux-doc | python3-doc | postgresql-doc}
cache=${RAGOPS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ragops}

# What was unpacked before, newest version last.
unpacked() { find "$cache" -mindepth 1 -maxdepth 1 -name "corpus-$metapackage-*" 2>/dev/null | sort -V | tail -n 1; }

absent() {
  local before
  before=$(unpacked)
  if [ -n "$before" ]; then
    echo "$metapackage: $1; taking what is there already" >&2
    echo "$before"
    exit 0
  fi
  echo "$metapackage is not measured: $1" >&2
  exit 3
}

for command in apt-get apt-cache dpkg-deb; do
  command -v "$command" >/dev/null || absent "its documents are a Debian package, and $command is not there"
done
package() { apt-cache depends --important "$metapackage" 2>/dev/null | sed -n 's/^ *Depends: //p' | head -n 1; }
name=$(package)
if [ -z "$name" ] && [ "$(id -u)" = 0 ]; then
  apt-get update -qq >&2 || true
  name=$(package)
fi
[ -n "$name" ] || absent "apt does not know the package (run apt-get update)"
version=$(apt-cache policy "$name" | sed -n 's/^ *Candidate: //p')
folder=$cache/corpus-$metapackage-$version
if [ ! -d "$folder" ]; then
  mkdir -p "$cache"
  # Beside its final place, so that the rename at the end is one step.
  work=$(mktemp -d "$cache/.corpus.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "$metapackage: downloading $name $version" >&2
  (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$name=$version" >&2) || absent "apt-get cannot download $name $version"
  dpkg-deb --extract "$work"/*.deb "$work/all"
  html=$(find "$work/all/usr/share/doc" -type d -name html -not -path '*/html/*' | head -n 1)
  [ -d "$html" ] || absent "$name $version holds no pages where they are expected"
  mkdir "$work/corpus"
  [ ! -d "$html/_sources" ] || mv "$html/_sources" "$work/corpus/sources"
  mv "$html" "$work/corpus/pages"
  mv -T "$work/corpus" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
echo "$folder"
