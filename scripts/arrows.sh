#!/bin/sh
# Do the arrows between our crates point one way? (docs: "The house")
#   arrows.sh              checks this workspace
#   arrows.sh --self-test  shows that a forbidden arrow is found
# Needs nothing but cargo. Dependencies for tests alone do not count.
set -eu

project=$(cd "$(dirname "$0")/.." && pwd)
manifest="$project/Cargo.toml"

# What `judge` allows and forbids: crate : ours it may use : others it must not (the beginnings of their names).
# Everything outside of this table is refused, so that a new crate gets its place here.
rules='
nachfass   : api worker service connectors domain migration :
api        : service domain            : sea- sqlx
worker     : service domain            : sea- sqlx
service    : domain entity             : actix- async-graphql apalis reqwest
connectors : domain                    : sea- sqlx actix- async-graphql apalis
entity     :                           : actix- async-graphql apalis reqwest
migration  :                           : actix- async-graphql apalis reqwest
domain     :                           : sea- sqlx actix- async-graphql apalis reqwest tokio
bench      :                           : sea- sqlx actix- async-graphql apalis reqwest
crm-testing : domain                   : sea- sqlx actix- async-graphql apalis reqwest
fuzzing    : api service connectors domain : sea- sqlx actix- apalis reqwest
'

# The direct dependencies of crate $1, one name a line. The first line of the tree is the crate itself.
dependencies() {
    tree=$(cargo tree --manifest-path "$manifest" --offline -p "$1" -e normal,build --depth 1 \
        --prefix none --format '{p}')
    echo "$tree" | sed -e 1d -e 's/ .*//' -e '/^$/d' -e '/^\[/d'
}

# Prints the arrows of crate $1 that must not be.
judge() {
    rule=$(echo "$rules" | grep "^$1 " || true)
    if [ -z "$rule" ]; then
        echo "$1: has no rule in scripts/arrows.sh"
        return
    fi
    allowed=$(echo "$rule" | cut -d: -f2)
    forbidden=$(echo "$rule" | cut -d: -f3)
    # On its own, so that a failing cargo ends the script.
    found=$(dependencies "$1")
    for dependency in $found; do
        if echo "$members" | grep -qx "$dependency"; then
            case " $allowed " in *" $dependency "*) ;; *) echo "$1 -> $dependency" ;; esac
        fi
        for beginning in $forbidden; do
            case "$dependency" in "$beginning"*) echo "$1 -> $dependency" ;; esac
        done
    done
}

check() {
    tree=$(cargo tree --manifest-path "$manifest" --offline --workspace --depth 0 --prefix none --format '{p}')
    members=$(echo "$tree" | sed -e 's/ .*//' -e '/^$/d' | sort -u)
    wrong=$(for member in $members; do judge "$member"; done)
    [ -n "$wrong" ] || return 0
    echo "arrows that must not be:"
    echo "$wrong"
    return 1
}

# A workspace with three mistakes and one arrow that is right.
self_test() {
    place=$(mktemp -d)
    trap 'rm -rf "$place"' EXIT
    manifest="$place/Cargo.toml"
    printf '[workspace]\nresolver = "3"\nmembers = ["*"]\n' >"$manifest"
    crate() {
        mkdir -p "$place/$1/src"
        : >"$place/$1/src/lib.rs"
        printf '[package]\nname = "%s"\nversion = "0.0.0"\n[dependencies]\n' "$1" >"$place/$1/Cargo.toml"
        for needed in $2; do printf '%s = { path = "../%s" }\n' "$needed" "$needed" >>"$place/$1/Cargo.toml"; done
    }
    crate sqlx-like ''
    crate entity ''
    crate domain entity
    crate api 'domain sqlx-like'
    expected='arrows that must not be:
api -> sqlx-like
api -> sqlx-like
domain -> entity
sqlx-like: has no rule in scripts/arrows.sh'
    if found=$(check) || [ "$found" != "$expected" ]; then
        echo "the check of the arrows does not find what it should; it says: $found" >&2
        exit 1
    fi
}

case "${1-}" in
'') check >&2 ;;
--self-test) self_test ;;
*)
    echo "usage: arrows.sh [--self-test]" >&2
    exit 2
    ;;
esac
