// The configuration as graphql-codegen's own command reads it. generate.mjs reads it too, for the check.
export default {
    schema: '../../schema.graphql',
    documents: 'operations/*.graphql',
    generates: {
        'src/generated/graphql.ts': {
            plugins: ['typescript-operations', 'typed-document-node'],
            config: {
                // A scalar without a line here ends the generation: it would be `any` otherwise.
                strictScalars: true,
                scalars: {
                    // Opaque texts. In variables, a number would be taken too.
                    ID: 'string',
                    DateTime: 'string',
                    Date: 'string',
                EmailAddress: 'string',
                },
                enumType: 'string-literal',
                immutableTypes: true,
                // A list is a list: the schema would take a single value for it, but nobody should rely on that.
                arrayInputCoercion: false,
                // The types of fragments stand under their names instead of being written out everywhere.
                inlineFragmentTypes: 'combine',
                // So that bundlers that read one file at a time can drop the imports.
                useTypeImports: true,
            },
        },
    },
};
