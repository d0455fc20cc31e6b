#!/usr/bin/env bash
# Installs SeaweedFS, by exact version, into a cache outside the checkout, and prints where its program is.
#
# Exit code 3: the installer is not on this machine, so there is nothing to test with.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(bash "$here/../clients/setup.sh" python "$here/requirements.txt")
find "$folder" -type f -name weed -print -quit
