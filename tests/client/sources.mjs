// What codegen.mjs names: the schema and the operations. Only as much of its patterns as is used there.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parse, Source } from 'graphql';

import config from './codegen.mjs';

/** A path in codegen.mjs, wherever the program is started. */
export function place(path) {
    return fileURLToPath(new URL(path, import.meta.url));
}

export function schemaText() {
    return readFileSync(place(config.schema), 'utf8');
}

/** Each file of operations, parsed. */
export function documents() {
    const ending = basename(config.documents).replace('*', '');
    const folder = dirname(config.documents);
    return readdirSync(place(folder))
        .filter((name) => name.endsWith(ending))
        .sort()
        .map((name) => {
            const location = `${folder}/${name}`;
            return { location, document: parse(new Source(readFileSync(place(location), 'utf8'), location)) };
        });
}
