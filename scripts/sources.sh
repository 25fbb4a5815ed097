#!/bin/sh
# Does everything that is built come from crates.io, with a checksum? Needs nothing but cargo, and no network.
#   sources.sh              checks this workspace
#   sources.sh --self-test  shows that what comes from elsewhere is found
# (deny.toml says the same, for those who have cargo-deny.)
set -eu

project=$(cd "$(dirname "$0")/.." && pwd)

# From a Cargo.lock ($1) and the names of our own crates ($2, one a line): what is wrong.
judge() {
    printf '%s\n' "$2" | awk '
        FNR == 1 { file++ }
        file == 1 { own[$1] = 1; next }
        /^\[\[package\]\]/ { look(); name = version = source = checksum = "" }
        /^(name|version|source|checksum) = / { gsub(/"/, "") }
        /^name = / { name = $3 }
        /^version = / { version = $3 }
        /^source = / { source = $3 }
        /^checksum = / { checksum = $3 }
        END { look(); if (!packages) print "no packages were found in Cargo.lock" }
        function look() {
            if (name == "") return
            packages++
            if (source == "") { if (!(name in own)) print name " " version " is of this machine only"; return }
            if (source != "registry+https://github.com/rust-lang/crates.io-index") print name " " version " is from " source
            else if (length(checksum) != 64) print name " " version " has no checksum"
        }' - "$1"
}

case "${1-}" in
'')
    tree=$(cargo tree --manifest-path "$project/Cargo.toml" --offline --workspace --depth 0 --prefix none --format '{p}')
    wrong=$(judge "$project/Cargo.lock" "$(echo "$tree" | sed -e 's/ .*//' -e '/^$/d' | sort -u)")
    [ -n "$wrong" ] || exit 0
    echo "what is not from crates.io:" >&2
    echo "$wrong" >&2
    exit 1
    ;;
--self-test)
    lock=$(mktemp)
    trap 'rm -f "$lock"' EXIT
    index=registry+https://github.com/rust-lang/crates.io-index
    sum=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    package() {
        printf '[[package]]\nname = "%s"\nversion = "1.0.0"\n' "$1"
        [ -z "$2" ] || printf 'source = "%s"\n' "$2"
        [ -z "$3" ] || printf 'checksum = "%s"\n' "$3"
        printf 'dependencies = [\n "a",\n]\n\n'
    }
    {
        echo 'version = 4'
        package good "$index" "$sum"
        package ours '' ''
        package beside '' ''
        package git 'git+https://example.com/x#1' ''
        package other 'registry+https://example.com/index' "$sum"
        package bare "$index" ''
    } >"$lock"
    found=$(judge "$lock" ours | cut -d' ' -f1 | tr '\n' ' ')
    [ "$found" = 'beside git other bare ' ] || { echo "the check of the sources finds $found" >&2; exit 1; }
    ;;
*)
    echo "usage: sources.sh [--self-test]" >&2
    exit 2
    ;;
esac
