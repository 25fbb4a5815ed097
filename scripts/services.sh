#!/bin/sh
# PostgreSQL and Redis of our own for tests and benchmarks: on free ports of 127.0.0.1, in a folder of their own, gone
# afterwards. Nothing that already runs on this machine is touched.
#
#   services.sh run [--durable] COMMAND…   start them, run COMMAND with their addresses, stop them in any case
#   services.sh start [--durable]          start them and leave them running (state in target/services)
#   services.sh env                        print the addresses, for: eval "$(scripts/services.sh env)"
#   services.sh stop                       stop what start has started
#   services.sh restart-postgres FOLDER    end the PostgreSQL in that folder as a crash would, and start it again
#   services.sh stop-redis FOLDER          end the Redis in that folder
#   services.sh start-redis FOLDER         start it again, empty
#
# The last three are for tests of what happens then; FOLDER is NACHFASS_TEST_SERVICES, which run and start set.
# The addresses are NACHFASS_TEST_POSTGRES (a superuser: tests make databases of their own) and NACHFASS_TEST_REDIS.
# --durable: fsync and appendonly as in production, for benchmarks; without it a power cut may cost everything, which no
# test minds. SERVICES_DIR names the folder to put data into (default: $TMPDIR or /tmp), then no RAM disk.
set -eu

project=$(cd "$(dirname "$0")/.." && pwd)
state="${CARGO_TARGET_DIR:-$project/target}/services"

fail() {
    echo "services: $*" >&2
    exit 1
}

# A free port is found by trying: asking first and binding later would be a race. Below the ephemeral ports.
random_port() {
    echo $((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
}

# Debian keeps the server's programs out of PATH; the newest version is used.
postgres_bin() {
    # shellcheck disable=SC2012 # names of versions: nothing unusual in them
    newest=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
    if [ -n "$newest" ] && [ -x "$newest/initdb" ] && [ -x "$newest/pg_ctl" ]; then
        echo "$newest"
    elif command -v initdb >/dev/null 2>&1 && command -v pg_ctl >/dev/null 2>&1; then
        dirname "$(command -v initdb)"
    fi
}

find_programs() {
    bin=$(postgres_bin)
    # /postgres/initdb is no program: it only says that the package is missing.
    "$project/scripts/need.sh" "${bin:-/postgres}/initdb=postgresql" redis-server=redis-server redis-cli=redis-tools ||
        fail "PostgreSQL and Redis are needed"
    bin=$(postgres_bin)
    [ -n "$bin" ] || fail "initdb and pg_ctl are not where PostgreSQL is expected"
}

# PostgreSQL refuses to run as root. From /, because its user may not be able to read the present folder.
as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        (cd / && runuser -u "$owner" -- "$@")
    else
        (cd / && "$@")
    fi
}

start_postgres() {
    data="$dir/postgres"
    mkdir "$data"
    owner=$(id -un)
    if [ "$owner" = root ]; then
        if id postgres >/dev/null 2>&1; then owner=postgres; else owner=nobody; fi
        chown "$owner" "$data"
    fi
    as_postgres "$bin/initdb" -D "$data/data" -A trust -U postgres -E UTF8 --locale=C --no-sync \
        >"$dir/initdb.log" 2>&1 ||
        { cat "$dir/initdb.log" >&2; fail "initdb failed"; }
    options="-c listen_addresses=127.0.0.1 -c unix_socket_directories=$data -c max_connections=200"
    if [ "$durable" = yes ]; then
        options="$options -c shared_buffers=512MB -c max_wal_size=4GB"
    else
        options="$options -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    fi
    for _ in 1 2 3 4 5 6 7 8; do
        postgres_port=$(random_port)
        if as_postgres "$bin/pg_ctl" -D "$data/data" -l "$data/log" -w -t 60 -o "$options -p $postgres_port" start \
            >/dev/null 2>&1; then
            return
        fi
    done
    cat "$data/log" >&2
    fail "PostgreSQL does not start"
}

start_redis_at() {
    redis-server --bind 127.0.0.1 --port "$1" --unixsocket "$dir/redis/socket" --dir "$dir/redis" \
        --save '' --appendonly "$appendonly" --daemonize yes --logfile "$dir/redis/log" >/dev/null
    # It opens its socket only after it has got its port; a stranger's Redis on that port does not answer here.
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ "$(redis-cli -s "$dir/redis/socket" ping 2>/dev/null)" != PONG ] || return 0
        sleep 0.1
    done
    return 1
}

start_redis() {
    mkdir "$dir/redis"
    appendonly=no
    [ "$durable" = no ] || appendonly=yes
    for _ in 1 2 3 4 5 6 7 8; do
        redis_port=$(random_port)
        if start_redis_at "$redis_port"; then
            echo "$redis_port" >"$dir/redis/port"
            return
        fi
    done
    cat "$dir/redis/log" >&2
    fail "Redis does not start"
}

up() {
    find_programs
    dir=$(mktemp -d "${SERVICES_DIR:-${TMPDIR:-/tmp}}/nachfass.XXXXXX")
    # PostgreSQL's user has to get through to its own folder in there.
    chmod 711 "$dir"
    start_postgres
    start_redis
    NACHFASS_TEST_POSTGRES="postgres://postgres@127.0.0.1:$postgres_port/postgres"
    NACHFASS_TEST_REDIS="redis://127.0.0.1:$redis_port"
    NACHFASS_TEST_SERVICES=$dir
    export NACHFASS_TEST_POSTGRES NACHFASS_TEST_REDIS NACHFASS_TEST_SERVICES
}

# Stops what runs in folder $1, also what has been started only half, and removes it.
down() {
    [ -n "$1" ] && [ -d "$1" ] || return 0
    redis-cli -s "$1/redis/socket" shutdown nosave >/dev/null 2>&1 || true
    if [ -e "$1/postgres/data/postmaster.pid" ]; then
        bin=$(postgres_bin)
        owner=$(stat -c %U "$1/postgres/data")
        as_postgres "$bin/pg_ctl" -D "$1/postgres/data" -m immediate -w stop >/dev/null 2>&1 || true
    fi
    rm -rf "$1"
}

# Ends the command that runs, if one does, before what it uses.
interrupted() {
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null || true
        wait "$child" || true
    fi
    exit "$1"
}

command=${1-}
[ $# -eq 0 ] || shift
durable=no
child=
if [ "${1-}" = --durable ]; then
    durable=yes
    shift
fi
dir=

case "$command" in
run)
    [ $# -gt 0 ] || fail "run what?"
    trap 'down "$dir"' EXIT
    # Through exit, so that the trap above runs; 128 and the number of the signal, as shells say it.
    trap 'interrupted 130' INT
    trap 'interrupted 143' TERM
    trap 'interrupted 129' HUP
    up
    # In the background, because a shell hears signals only while it waits; with our input, which it would lose there.
    exec 3<&0
    "$@" <&3 &
    child=$!
    status=0
    wait "$child" || status=$?
    exit "$status"
    ;;
start)
    [ ! -e "$state" ] || fail "running already (otherwise: $0 stop)"
    trap '[ -e "$state" ] || down "$dir"' EXIT
    up
    mkdir -p "$(dirname "$state")"
    {
        echo "# $dir"
        echo "export NACHFASS_TEST_POSTGRES='$NACHFASS_TEST_POSTGRES'"
        echo "export NACHFASS_TEST_REDIS='$NACHFASS_TEST_REDIS'"
        echo "export NACHFASS_TEST_SERVICES='$NACHFASS_TEST_SERVICES'"
    } >"$state"
    ;;
env)
    [ -e "$state" ] || fail "not running; first: $0 start"
    cat "$state"
    ;;
stop)
    [ -e "$state" ] || exit 0
    down "$(sed -n 's/^# //p' "$state")"
    rm -f "$state"
    ;;
restart-postgres)
    dir=${1:?which folder?}
    bin=$(postgres_bin)
    owner=$(stat -c %U "$dir/postgres/data")
    as_postgres "$bin/pg_ctl" -D "$dir/postgres/data" -m immediate -w -t 60 -l "$dir/postgres/log" restart >/dev/null
    ;;
stop-redis)
    dir=${1:?which folder?}
    redis-cli -s "$dir/redis/socket" shutdown nosave >/dev/null 2>&1 || true
    ;;
start-redis)
    dir=${1:?which folder?}
    appendonly=no
    start_redis_at "$(cat "$dir/redis/port")" || fail "Redis does not start again"
    ;;
*)
    # The description at the top of this file.
    sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
    ;;
esac
