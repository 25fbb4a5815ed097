#!/bin/sh
# schema.graphql as the program prints it.
#   schema.sh           writes it
#   schema.sh --check   says whether the one in the repository is still it
set -eu

cd "$(dirname "$0")/.."
fresh="${CARGO_TARGET_DIR:-target}/schema.graphql"
cargo run -q -- schema >"$fresh"
# A program that prints nothing has no schema; an empty file must not pass for one.
[ -s "$fresh" ] || { echo "nachfass schema prints nothing" >&2; exit 1; }
case "${1-}" in
'') cp "$fresh" schema.graphql ;;
--check)
    diff -u schema.graphql "$fresh" >&2 || { echo "schema.graphql is stale: make schema" >&2; exit 1; }
    ;;
*)
    echo "usage: schema.sh [--check]" >&2
    exit 2
    ;;
esac
