#!/usr/bin/env bash
# Installs the official clients, by exact version, into a cache outside the checkout, and prints where they are.
#
# Usage: setup.sh python [REQUIREMENTS]|node. With a file of requirements those Python packages, and no others, instead of the clients.
# Exit code 3: the installer is not on this machine, so there is nothing to test with.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RAGOPS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/ragops}

absent() {
    echo "$1 is not installed" >&2
    exit 3
}

case ${1:-} in
python)
    wanted=${2:-$here/requirements.txt}
    command -v python3 >/dev/null || absent python3
    python3 -c 'import venv, ensurepip' 2>/dev/null || absent "the module venv of python3"
    ;;
node)
    wanted=$here/package.json
    command -v node >/dev/null || absent node
    command -v npm >/dev/null || absent npm
    ;;
*)
    echo "usage: setup.sh python [REQUIREMENTS]|node" >&2
    exit 2
    ;;
esac

# What is wanted names the folder, so another version is another folder.
folder=$cache/clients-$1-$(sha256sum "$wanted" | cut -c1-16)
if [ ! -d "$folder" ]; then
    mkdir -p "$cache"
    # Beside its final place, so that the rename at the end is one step; of two that run at once one wins.
    work=$(mktemp -d "$cache/.clients-$1.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    if [ "$1" = python ]; then
        python3 -m venv "$work/venv" >&2
        # Packages alone move along when the folder is renamed; programs with absolute paths do not.
        "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$work/packages" --requirement "$wanted" >&2
        rm -rf "$work/venv"
    else
        cp "$wanted" "$work/"
        (cd "$work" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts >&2)
    fi
    mv -T "$work" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
echo "$folder"
