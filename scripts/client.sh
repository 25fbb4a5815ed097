#!/bin/sh
# Does a client compile that graphql-codegen makes from schema.graphql? tests/client holds the operations and a little
# code that uses them. Every field of Query, Mutation and Subscription must be used by an operation there.
# Needs Node and npm; npm's registry only where something is not installed yet.
set -eu

cd "$(dirname "$0")/.."
scripts/need.sh node=nodejs npm=npm
cd tests/client
# npm writes this file last, so that it is not there after an installation that was broken off.
installed=node_modules/.package-lock.json
if [ ! -e "$installed" ] || [ -n "$(find package-lock.json -newer "$installed")" ]; then
    npm ci --no-audit --no-fund >&2
fi
operations=$(node coverage.mjs)
rm -rf src/generated
node generate.mjs
node_modules/.bin/tsc --project . >&2
echo "client: $operations operations compile against schema.graphql"
