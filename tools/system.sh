#!/bin/sh
# Sees to it that a system program the tests need is there; installs it from Debian when it is missing.
# usage: system.sh node | chromium
set -eu

install() {
    sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

case "$1" in
node) command -v npm >/dev/null && command -v node >/dev/null || install nodejs npm ;;
chromium) command -v chromium >/dev/null || install chromium ;;
*)
    echo "usage: $0 node | chromium" >&2
    exit 2
    ;;
esac
