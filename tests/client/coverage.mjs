// Does an operation use each field of Query, Mutation and Subscription? Otherwise nobody would notice that a generated
// client cannot ask for it. Prints the number of operations.
import { buildSchema, concatAST, Kind, TypeInfo, validate, visit, visitWithTypeInfo } from 'graphql';

import { documents, schemaText } from './sources.mjs';

const schema = buildSchema(schemaText());
const operations = concatAST(documents().map(({ document }) => document));

// By graphql-js's own rules, all of them: graphql-codegen leaves some out, such as the one on variables nobody uses.
const mistakes = validate(schema, operations);

const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].filter(Boolean);
const unused = new Set(roots.flatMap((root) => Object.keys(root.getFields()).map((field) => `${root.name}.${field}`)));
const info = new TypeInfo(schema);
visit(
    operations,
    visitWithTypeInfo(info, {
        Field(node) {
            unused.delete(`${info.getParentType()?.name}.${node.name.value}`);
        },
    }),
);

for (const mistake of mistakes) console.error(`${mistake}\n`);
for (const field of unused) console.error(`${field} is used by no operation in tests/client/operations`);
if (mistakes.length > 0 || unused.size > 0) process.exit(1);
console.log(operations.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION).length);
