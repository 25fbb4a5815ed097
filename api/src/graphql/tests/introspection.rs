//! The introspection queries that tools send: each must be answered, whichever of the optional parts its tool asks for.

use std::fmt::Write as _;

use serde_json::{Value, json};
use service::Role;

use super::fixture::Fixture;
use crate::graphql::limits::MAX_INTROSPECTION_DEPTH;

/// What a tool asks for.
#[derive(Clone, Copy, Debug)]
struct Tool {
    name: &'static str,
    /// Levels of `ofType`: 7 in graphql-js up to version 15 and in Apollo Rover, 9 since version 16.
    of_type: usize,
    description: bool,
    specified_by_url: bool,
    is_repeatable: bool,
    schema_description: bool,
    /// Whether deprecated arguments and input fields are asked for (`inputValueDeprecation`).
    input_deprecation: bool,
    one_of: bool,
    /// Whether everything is written out, without fragments.
    inline: bool,
}

const EVERYTHING: Tool = Tool {
    name: "graphql-js 16 with every option",
    of_type: 9,
    description: true,
    specified_by_url: true,
    is_repeatable: true,
    schema_description: true,
    input_deprecation: true,
    one_of: true,
    inline: false,
};

const TOOLS: &[Tool] = &[
    EVERYTHING,
    Tool { name: "the same, written out", inline: true, ..EVERYTHING },
    Tool { name: "GraphiQL", one_of: false, is_repeatable: false, ..EVERYTHING },
    Tool {
        name: "graphql-js 16, Postman",
        specified_by_url: false,
        is_repeatable: false,
        schema_description: false,
        input_deprecation: false,
        one_of: false,
        ..EVERYTHING
    },
    Tool { name: "graphql-codegen by URL", specified_by_url: false, one_of: false, ..EVERYTHING },
    Tool {
        name: "Apollo Rover",
        of_type: 7,
        specified_by_url: false,
        is_repeatable: false,
        schema_description: false,
        one_of: false,
        ..EVERYTHING
    },
    Tool {
        name: "graphql-js 14, without descriptions",
        of_type: 7,
        description: false,
        specified_by_url: false,
        is_repeatable: false,
        schema_description: false,
        input_deprecation: false,
        one_of: false,
        inline: false,
    },
];

impl Tool {
    fn query(self) -> String {
        let on = |asked: bool, field: &'static str| if asked { field } else { "" };
        let deprecated = on(self.input_deprecation, "(includeDeprecated: true)");
        let description = on(self.description, "description");
        let type_ref = "kind name ofType { ".repeat(self.of_type) + "kind name" + &" }".repeat(self.of_type);
        let (of_type, define_of_type) = self.part("TypeRef", "__Type", &type_ref);
        let input_value = format!(
            "name {description} type {{ {of_type} }} defaultValue {}",
            on(self.input_deprecation, "isDeprecated deprecationReason")
        );
        let (input, define_input) = self.part("InputValue", "__InputValue", &input_value);
        let full_type = format!(
            "kind name {description} {} {} fields(includeDeprecated: true) {{ name {description} args{deprecated} {{ {input} }} \
             type {{ {of_type} }} isDeprecated deprecationReason }} inputFields{deprecated} {{ {input} }} \
             interfaces {{ {of_type} }} enumValues(includeDeprecated: true) {{ name {description} isDeprecated deprecationReason }} \
             possibleTypes {{ {of_type} }}",
            on(self.specified_by_url, "specifiedByURL"),
            on(self.one_of, "isOneOf"),
        );
        let (full, define_full) = self.part("FullType", "__Type", &full_type);
        format!(
            "query IntrospectionQuery {{ __schema {{ {} queryType {{ name kind }} mutationType {{ name kind }} \
             subscriptionType {{ name kind }} types {{ {full} }} directives {{ name {description} {} locations \
             args{deprecated} {{ {input} }} }} }} }} {define_full} {define_input} {define_of_type}",
            on(self.schema_description, "description"),
            on(self.is_repeatable, "isRepeatable"),
        )
    }

    /// A selection, and what has to be defined for it.
    fn part(self, name: &str, on: &str, fields: &str) -> (String, String) {
        if self.inline {
            return (fields.to_owned(), String::new());
        }
        (format!("...{name}"), format!("fragment {name} on {on} {{ {fields} }}"))
    }
}

/// The type that a chain of `ofType` ends with.
fn named(mut kind: &Value) -> &str {
    while !kind["ofType"].is_null() {
        kind = &kind["ofType"];
    }
    kind["name"].as_str().expect("a name")
}

#[tokio::test]
async fn every_tool_is_answered_with_the_whole_schema() {
    let fixture = Fixture::with(0).await;
    for tool in TOOLS {
        let response = fixture.ask(Role::Viewer, &tool.query(), json!({})).await;
        assert!(response.errors.is_empty(), "{}: {:?}", tool.name, response.errors);
        let schema = response.data.into_json().expect("JSON")["__schema"].take();
        let types = schema["types"].as_array().expect("types");
        let campaign = types.iter().find(|kind| kind["name"] == "Campaign").expect("a campaign");
        let fields = campaign["fields"].as_array().expect("fields");
        let recipients = fields.iter().find(|field| field["name"] == "recipients").expect("recipients");
        assert_eq!(named(&recipients["type"]), "RecipientConnection", "{}", tool.name);
        assert_eq!(campaign["description"].is_string(), tool.description, "{}", tool.name);
        // Wherever a type is named, the schema holds it: what builds a schema from the answer relies on that.
        let known: Vec<&str> = types.iter().map(|kind| kind["name"].as_str().expect("a name")).collect();
        for field in types.iter().flat_map(|kind| kind["fields"].as_array().into_iter().flatten()) {
            assert!(known.contains(&named(&field["type"])), "{field}");
        }
    }
}

#[tokio::test]
async fn the_introspection_has_an_end() {
    let fixture = Fixture::with(0).await;
    let mut query = "kind".to_owned();
    for _ in 0..MAX_INTROSPECTION_DEPTH {
        query = format!("ofType {{ {query} }}");
    }
    assert_eq!(fixture.error(Role::Viewer, &format!("{{ __type(name: \"Job\") {{ {query} }} }}")).await, "TOO_COMPLEX");
    let nested = "{ __schema { types { fields { type { fields { name } } } } } }";
    assert_eq!(fixture.error(Role::Viewer, nested).await, "TOO_COMPLEX");
    let mut wide = String::new();
    for number in 0..31 {
        write!(wide, " a{number}: __schema {{ types {{ name }} }}").expect("written");
    }
    assert_eq!(fixture.error(Role::Viewer, &format!("{{ {wide} }}")).await, "TOO_COMPLEX");
}
