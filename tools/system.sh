#!/bin/sh
# Sees to it that a system program the tests or benches need is there; installs it from Debian when it is missing.
# usage: system.sh node | chromium | firefox | wrk | venv PYTHON
set -eu

install() {
    sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

case "$1" in
node) command -v npm >/dev/null && command -v node >/dev/null || install nodejs npm ;;
# Debian ships Python without the part that fills a virtual environment.
venv) "$2" -c 'import ensurepip' 2>/dev/null || install "$2-venv" ;;
# The browser driver's own Node.js needs libatomic, which a bare Debian lacks.
chromium)
    command -v chromium >/dev/null || install chromium
    /sbin/ldconfig -p | grep -q 'libatomic\.so\.1' || install libatomic1
    ;;
# A second browser with its blocker, and the list by which the blocker's engine tells one site from another.
firefox)
    { command -v firefox-esr && dpkg -s webext-ublock-origin-firefox publicsuffix; } >/dev/null 2>&1 ||
        install firefox-esr webext-ublock-origin-firefox publicsuffix
    ;;
wrk) command -v wrk >/dev/null || install wrk ;;
*)
    echo "usage: $0 node | chromium | firefox | wrk | venv PYTHON" >&2
    exit 2
    ;;
esac
