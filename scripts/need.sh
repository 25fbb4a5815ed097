#!/bin/sh
# Makes sure that programs are there: need.sh PROGRAM=PACKAGE…
#
# What is missing is installed where that is possible without asking (root on Debian), as in a bare container; otherwise
# the command that does it is printed.
set -eu

packages=
for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || packages="$packages ${pair#*=}"
done
[ -n "$packages" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "missing; on Debian: sudo apt-get install --no-install-recommends$packages" >&2
    exit 1
fi
echo "installing:$packages" >&2
# Installing PostgreSQL would otherwise make and start a cluster that nobody here uses.
case "$packages" in
*postgresql*)
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    ;;
esac
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
# shellcheck disable=SC2086 # a list of packages
apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold $packages >&2
