#!/bin/sh
# May everything that is built into the program be shipped under our licence? Reads the SPDX expressions that cargo
# knows; needs neither network nor other tools. (deny.toml holds the same list, for those who have cargo-deny.)
#   licences.sh              checks this workspace
#   licences.sh --self-test  shows that the expressions are understood
set -eu

project=$(cd "$(dirname "$0")/.." && pwd)

# Permissive licences, by their SPDX names. No copyleft: the program is one statically linked file.
allowed='0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0'
allowed="$allowed CDLA-Permissive-2.0 ISC MIT Unicode-3.0 Unlicense Zlib"
exceptions='LLVM-exception'

# From lines "crate|expression" those that are not allowed. In an expression, old crates write / for OR.
judge() {
    awk -F'|' -v allowed="$allowed" -v exceptions="$exceptions" '
        BEGIN {
            n = split(allowed, list, " "); for (i = 1; i <= n; i++) good[list[i]] = 1
            n = split(exceptions, list, " "); for (i = 1; i <= n; i++) fine[list[i]] = 1
        }
        # either() reads what OR joins, both() what AND joins, one() a name or a bracket: each moves `at` past what it
        # read.
        function either(    ok) { ok = both(); while (word[at] == "OR") { at++; ok = both() || ok }; return ok }
        function both(    ok) { ok = one(); while (word[at] == "AND") { at++; ok = one() && ok }; return ok }
        function one(    ok) {
            if (word[at] == "(") { at++; ok = either(); if (word[at] != ")") return 0; at++; return ok }
            ok = (word[at++] in good)
            if (word[at] == "WITH") { at++; ok = (word[at++] in fine) && ok }
            return ok
        }
        {
            text = $2
            gsub(/\//, " OR ", text); gsub(/\(/, " ( ", text); gsub(/\)/, " ) ", text)
            split("", word)
            words = split(text, word, " ")
            at = 1
            if (!either() || at != words + 1) print $1 ": " ($2 == "" ? "no licence" : $2)
        }'
}

case "${1-}" in
'')
    tree=$(cargo tree --manifest-path "$project/Cargo.toml" --offline --workspace -e normal,build --no-dedupe \
        --prefix none --format '{p}|{l}')
    wrong=$(echo "$tree" | sed -e '/^$/d' -e 's/ (proc-macro)//' | sort -u | judge)
    [ -n "$wrong" ] || exit 0
    echo "licences that are not on the list of scripts/licences.sh:" >&2
    echo "$wrong" >&2
    exit 1
    ;;
--self-test)
    bad=$(printf '%s\n' 'a|MIT' 'b|GPL-3.0' 'c|GPL-2.0/MIT' 'd|MIT AND GPL-3.0' 'e|(MIT OR GPL-3.0) AND ISC' 'f|' \
        'g|Apache-2.0 WITH LLVM-exception' 'h|Apache-2.0 WITH Other' 'i|(MIT' \
        'j|MIT GPL-3.0' 'k|GPL-3.0 OR MIT AND ISC' |
        judge | cut -d: -f1 | tr -d '\n')
    [ "$bad" = bdfhij ] || { echo "the check of the licences finds $bad instead of bdfhij" >&2; exit 1; }
    ;;
*)
    echo "usage: licences.sh [--self-test]" >&2
    exit 2
    ;;
esac
