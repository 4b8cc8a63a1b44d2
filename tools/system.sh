#!/bin/sh
# Sees to it that a system program the tests or benches need is there; installs it from Debian when it is missing.
# usage: system.sh node | chromium | firefox | servers | postgres | promtool | wrk | venv PYTHON
set -eu

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"

install() {
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Debian starts a service as it installs it, and lets it start with the machine; the tests need only the program.
# policy-rc.d is asked before any start, with or without systemd, and 101 forbids it (invoke-rc.d(8)).
install_stopped() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap '$sudo rm -f $policy' EXIT
        printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
        $sudo chmod 755 $policy
    fi
    install "$@"
    [ ! -d /run/systemd/system ] || $sudo systemctl disable --quiet "$@"
}

# Prints those of the programs that are missing; some stand where only root looks.
missing() {
    for program in "$@"; do
        PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || echo "$program"
    done
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
servers)
    servers=$(missing nginx haproxy caddy)
    programs=$(missing curl openssl)
    # Each word is a package.
    [ -z "$servers" ] || install_stopped $servers
    [ -z "$programs" ] || install $programs
    ;;
# With its first server Debian makes a cluster that would start with the machine; the tests make their own.
postgres)
    if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
        install postgresql-common
        conf=/etc/postgresql-common/createcluster.conf
        grep -q '^create_main_cluster' $conf || echo 'create_main_cluster = false' | $sudo tee -a $conf >/dev/null
        install_stopped postgresql
    fi
    # The check must recognise a pooler in front of a server.
    [ -x /usr/sbin/pgbouncer ] || install_stopped pgbouncer
    ;;
# Debian has it in one package with the server, which the tests do not need.
promtool) command -v promtool >/dev/null || install_stopped prometheus ;;
wrk) command -v wrk >/dev/null || install wrk ;;
*)
    echo "usage: $0 node | chromium | firefox | servers | postgres | promtool | wrk | venv PYTHON" >&2
    exit 2
    ;;
esac
