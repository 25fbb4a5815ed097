#!/bin/sh
# Fuzzes the targets of tests/fuzz, one after the other.
#
#   fuzz.sh SECONDS [TARGET…]     each for that long (default: all targets)
#   fuzz.sh --runs N [TARGET…]    each with N inputs
#   fuzz.sh --build [TARGET…]     only builds
#
# With a nightly toolchain and a C++ compiler libFuzzer does it (fuzz/, by cargo-fuzz, which is installed if need be); the corpora begin
# with the seeds of the tests and go on growing in fuzz/corpus. Otherwise, or with FUZZ_WITH=proptest, the seeds are mutated by
# proptest: the same functions, without feedback on coverage.
# SANITIZER=address (default: none, since there is no unsafe code of ours) builds with a sanitizer, in a folder of its own.
# An input that shows a mistake is left in fuzz/artifacts/TARGET.
set -eu

project=$(cd "$(dirname "$0")/.." && pwd)
cd "$project"
usage() {
    sed -n '2,/^set -eu/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
}

limit=
how=run
case "${1-}" in
--build) how=build; shift ;;
--runs) limit="-runs=${2:?how many?}"; shift 2 ;;
'' | *[!0-9]*) usage ;;
*) limit="-max_total_time=$1"; seconds=$1; shift ;;
esac

sanitizer=${SANITIZER:-none}
[ "$sanitizer" = none ] || export CARGO_TARGET_DIR="$project/fuzz/target/with-$sanitizer"
# The functions of the program must behave as they do in the program, so cfg(fuzzing) stays off: libraries leave checks out with it.
fuzz() {
    (cd fuzz && command=$1 && shift &&
        cargo +nightly fuzz "$command" --release --sanitizer "$sanitizer" --no-cfg-fuzzing --codegen-units 16 "$@")
}

can_fuzz() {
    [ "${FUZZ_WITH-}" != proptest ] || return 1
    cargo +nightly --version >/dev/null 2>&1 || return 1
    command -v c++ >/dev/null 2>&1 || return 1
    cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
}

if ! can_fuzz; then
    [ -n "${seconds-}" ] || { echo "fuzz: only SECONDS can be said without libFuzzer (a nightly toolchain, a C++ compiler)" >&2; exit 1; }
    echo "fuzz: without libFuzzer, by proptest" >&2
    export NACHFASS_FUZZ_SECONDS="$seconds"
    # Not by nextest, which ends tests that take long.
    [ $# -eq 0 ] || set -- --exact "$@"
    exec cargo test --release -p fuzzing --test mutated -- --nocapture "$@"
fi

# The versions of the program.
cp Cargo.lock fuzz/Cargo.lock
if [ "$how" = build ]; then
    [ $# -gt 0 ] || fuzz build
    for target in "$@"; do fuzz build "$target"; done
    exit
fi
# shellcheck disable=SC2046 # a list of names
[ $# -gt 0 ] || set -- $(cd fuzz && cargo +nightly fuzz list)
cargo run --quiet -p fuzzing --bin fill-corpus -- fuzz
status=0
for target in "$@"; do
    echo "fuzz: $target" >&2
    dictionary=fuzz/dictionaries/$target
    set -- "$limit" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
    [ ! -s "$dictionary" ] || set -- "$@" "-dict=$project/$dictionary"
    # The others go on where one has found something.
    fuzz run "$target" -- "$@" || status=1
done
exit "$status"
