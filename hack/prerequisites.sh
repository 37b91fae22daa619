#!/usr/bin/env bash
# Installs the Debian packages that the tests and the test cluster need and
# that are missing. Elsewhere than on Debian as root it only says what to
# install.
set -euo pipefail

# command or file -> package that brings it
declare -A needs=(
  [redis-server]=redis-server
  [chromium]=chromium
  [containerd]=containerd
  [runc]=runc
  [/usr/lib/cni/bridge]=containernetworking-plugins
  [nft]=nftables
  [iptables]=iptables
  [conntrack]=conntrack
  [ip]=iproute2
  [mount]=mount
  [socat]=socat
  [node]=nodejs
  [npm]=npm
)

missing=()
for need in "${!needs[@]}"; do
  case $need in
    /*) [ -e "$need" ] || missing+=("${needs[$need]}") ;;
    *) command -v "$need" >/dev/null || missing+=("${needs[$need]}") ;;
  esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "These programs are missing, please install them: ${missing[*]}" >&2
  echo "(On Debian, as root, this script does it.)" >&2
  exit 1
fi

# Debian starts some of them as services; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
  trap 'rm -f $policy' EXIT
fi

echo "Installing ${missing[*]}"
log=$(mktemp)
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" fonts-dejavu-core; } >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  exit 1
fi
rm -f "$log"
