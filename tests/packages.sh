#!/usr/bin/env bash
# Installs the Debian packages that the real node and the images need, and the stores that the tests start. Does nothing when they are there; says what is missing when it may not install.
set -euo pipefail
declare -A needs=([containerd]=containerd [runc]=runc [ip]=iproute2 [nft]=nftables [conntrack]=conntrack [setpriv]=util-linux [nsenter]=util-linux [gcc]=gcc [openssl]=openssl [redis-server]=redis-server)
missing=()
for command in "${!needs[@]}"; do command -v "$command" >/dev/null || missing+=("${needs[$command]}"); done
[ -r /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
# Tests start a database of their own from the programs below this folder; the service of the package is not needed, and may be off.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
[ -x /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
# The static glibc lies in libc6-dev, which gcc brings along.
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed: ${missing[*]}; what needs them is skipped. On Debian, as root: apt-get install ${missing[*]}" >&2
  exit 0
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
