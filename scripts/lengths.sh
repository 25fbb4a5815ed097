#!/bin/sh
# No Rust source over 600 lines: by then it holds more than one thing.
set -eu

cd "$(dirname "$0")/.."
long=$(find . \( -name target -o -name node_modules -o -name '.?*' \) -prune -o -name '*.rs' -exec awk '
    FNR == 601 { print FILENAME " has more than 600 lines" }' {} +)
[ -z "$long" ] || { echo "$long" >&2; exit 1; }
