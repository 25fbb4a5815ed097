#!/bin/sh
# Does Cargo.lock hold a version that an advisory is about?
#   advisories.sh              checks this workspace
#   advisories.sh --self-test  shows that what should be found is found
#
# The advisory database cannot be fetched everywhere. So this compares Cargo.lock with the advisories that are known to concern us
# (scripts/advisories.txt). Where cargo-deny and a copy of the database are on the machine, it is asked as well; it fetches nothing.
set -eu

project=$(cd "$(dirname "$0")/.." && pwd)

# From a list of advisories ($1) and a Cargo.lock ($2): what is wrong.
judge() {
    awk '
        # Versions as numbers that compare; what leads up to a version (1.0.0-rc.1) lies before it.
        function number(version,    part, early) {
            sub(/[+].*/, "", version)
            early = sub(/-.*/, "", version) ? 0.5 : 0
            split(version, part, ".")
            return (part[1] * 100000 + part[2]) * 100000 + part[3] - early
        }
        # What is compatible with a version has the same series.
        function series(version,    part) {
            split(version, part, ".")
            return part[1] > 0 ? part[1] : part[1] "." part[2]
        }
        function trimmed(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }
        FNR == 1 { file++ }
        file == 1 && !/^#/ && NF {
            split($0, field, "|")
            n++
            id[n] = trimmed(field[1]); crate[n] = trimmed(field[2]); patched[n] = trimmed(field[3])
            accepted[n] = trimmed(field[4])
            if (id[n] == "" || crate[n] == "" || patched[n] !~ /^[0-9. ]+$/) print "cannot read: " $0
            if (accepted[n] != "" && trimmed(field[5]) == "") print id[n] ": it is not said why " accepted[n] " is accepted"
        }
        file == 2 && /^name = / { gsub(/"/, ""); name = $3 }
        file == 2 && /^version = / && name != "" {
            gsub(/"/, "")
            locked++
            for (i = 1; i <= n; i++) if (crate[i] == name) check(i, $3)
            name = ""
        }
        function check(i, version,    list, count, k, good) {
            count = split(patched[i], list, " ")
            good = number(version) >= number(list[count])
            for (k = 1; k <= count; k++)
                if (series(list[k]) == series(version) && number(version) >= number(list[k])) good = 1
            if (good) return
            if ((" " accepted[i] " ") ~ (" " series(version) " ")) { used[i " " series(version)] = 1; return }
            print id[i] ": " name " " version " is not patched; " patched[i] " is"
        }
        END {
            if (!locked) print "no packages were found in Cargo.lock"
            for (i = 1; i <= n; i++) {
                count = split(accepted[i], list, " ")
                for (k = 1; k <= count; k++)
                    if (!((i " " list[k]) in used)) print id[i] ": " crate[i] " " list[k] " is accepted but not there any more"
            }
        }' "$1" "$2"
}

# The advisories that $1 accepts and deny.toml does not.
unlisted() {
    awk -F'|' '!/^#/ && $4 ~ /[0-9]/ { gsub(/ /, "", $1); print $1 }' "$1" | while read -r id; do
        grep -q "$id" "$project/deny.toml" || echo "$id: accepted here, but not in deny.toml"
    done
}

case "${1-}" in
'')
    list="$project/scripts/advisories.txt"
    wrong=$(judge "$list" "$project/Cargo.lock"; unlisted "$list")
    if [ -n "$wrong" ]; then
        echo "advisories (scripts/advisories.txt; usually \`cargo update -p CRATE\` helps):" >&2
        echo "$wrong" >&2
        exit 1
    fi
    if cargo deny --version >/dev/null 2>&1 && ls "${CARGO_HOME:-$HOME/.cargo}"/advisory-db* >/dev/null 2>&1; then
        cd "$project"
        cargo deny --offline check advisories
    fi
    ;;
--self-test)
    place=$(mktemp -d)
    trap 'rm -rf "$place"' EXIT
    cat >"$place/list" <<'LIST'
# comment
A | one | 1.2.3
B | two | 0.3.5 0.4.2
C | three | 0.2.0 | 0.1 | harmless
D | four | 2.0.0 | 1 | gone
E | five | 3.0.0 | 2
F | six | 1.0.0
LIST
    package() { printf '[[package]]\nname = "%s"\nversion = "%s"\n\n' "$1" "$2"; }
    {
        package one 1.2.3
        package one 1.2.2
        package one 1.10.0
        package two 0.3.4
        package two 0.3.5
        package two 0.4.1
        package two 0.4.10
        package two 1.0.0
        package two 0.2.9
        package three 0.1.7
        package four 2.0.1
        package five 2.9.9
        package six 1.0.0-rc.1
        package seven 0.0.1
    } >"$place/lock"
    found=$(judge "$place/list" "$place/lock" | sed 's/ is not patched.*//' | sort)
    expected='A: one 1.2.2
B: two 0.2.9
B: two 0.3.4
B: two 0.4.1
D: four 1 is accepted but not there any more
E: it is not said why 2 is accepted
F: six 1.0.0-rc.1'
    [ "$found" = "$expected" ] || { echo "the check of the advisories does not find what it should: $found" >&2; exit 1; }
    ;;
*)
    echo "usage: advisories.sh [--self-test]" >&2
    exit 2
    ;;
esac
