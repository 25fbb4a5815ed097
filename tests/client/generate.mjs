// Does what graphql-codegen's command does with codegen.mjs. The command itself brings several hundred packages along
// for things that are not needed here (remote schemas, a watcher, prompts); its core and the plugins are the same.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { codegen } from '@graphql-codegen/core';
import { parse } from 'graphql';

import config from './codegen.mjs';
import { documents, place, schemaText } from './sources.mjs';

const schema = parse(schemaText());
for (const [filename, { plugins, config: options }] of Object.entries(config.generates)) {
    const pluginMap = {};
    for (const plugin of plugins) pluginMap[plugin] = await import(`@graphql-codegen/${plugin}`);
    const text = await codegen({
        filename,
        schema,
        documents: documents(),
        config: options,
        plugins: plugins.map((plugin) => ({ [plugin]: {} })),
        pluginMap,
    });
    const file = place(filename);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
}
