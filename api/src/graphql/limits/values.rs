//! Values that no field can use: texts with U+0000, which PostgreSQL cannot store, and lists of excessive length.

use async_graphql::parser::types::{Directive, ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Positioned, ServerError, Variables};
use async_graphql_value::{ConstValue, Value};

use super::{MAX_LIST, refused};

/// Checks the variables of a request.
///
/// # Errors
/// `BAD_REQUEST` for a value that cannot be used.
pub fn check_variables(variables: &Variables) -> Result<(), ServerError> {
    variables.iter().try_for_each(|(_, value)| constant(value))
}

/// Checks the values that a document holds itself: arguments, those of directives, and defaults of variables.
///
/// # Errors
/// As [`check_variables`].
pub fn check_document(document: &ExecutableDocument) -> Result<(), ServerError> {
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        directives(&operation.directives)?;
        for variable in &operation.variable_definitions {
            directives(&variable.node.directives)?;
            variable.node.default_value().map_or(Ok(()), constant)?;
        }
        selections(&operation.selection_set.node)?;
    }
    for fragment in document.fragments.values() {
        directives(&fragment.node.directives)?;
        selections(&fragment.node.selection_set.node)?;
    }
    Ok(())
}

fn selections(set: &SelectionSet) -> Result<(), ServerError> {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => check_field(&field.node)?,
            Selection::InlineFragment(fragment) => {
                directives(&fragment.node.directives)?;
                selections(&fragment.node.selection_set.node)?;
            }
            Selection::FragmentSpread(spread) => directives(&spread.node.directives)?,
        }
    }
    Ok(())
}

fn check_field(field: &Field) -> Result<(), ServerError> {
    directives(&field.directives)?;
    arguments(&field.arguments)?;
    selections(&field.selection_set.node)
}

fn directives(directives: &[Positioned<Directive>]) -> Result<(), ServerError> {
    directives.iter().try_for_each(|directive| arguments(&directive.node.arguments))
}

fn arguments(arguments: &[(Positioned<Name>, Positioned<Value>)]) -> Result<(), ServerError> {
    arguments.iter().try_for_each(|(_, value)| literal(&value.node))
}

fn literal(value: &Value) -> Result<(), ServerError> {
    match value {
        Value::String(text) => check_text(text),
        Value::List(items) => {
            check_length(items.len())?;
            items.iter().try_for_each(literal)
        }
        Value::Object(fields) => fields.values().try_for_each(literal),
        Value::Variable(_) | Value::Null | Value::Number(_) | Value::Boolean(_) | Value::Binary(_) | Value::Enum(_) => {
            Ok(())
        }
    }
}

fn constant(value: &ConstValue) -> Result<(), ServerError> {
    match value {
        ConstValue::String(text) => check_text(text),
        ConstValue::List(items) => {
            check_length(items.len())?;
            items.iter().try_for_each(constant)
        }
        ConstValue::Object(fields) => {
            fields.keys().try_for_each(|name| check_text(name))?;
            fields.values().try_for_each(constant)
        }
        ConstValue::Null
        | ConstValue::Number(_)
        | ConstValue::Boolean(_)
        | ConstValue::Binary(_)
        | ConstValue::Enum(_) => Ok(()),
    }
}

fn check_text(text: &str) -> Result<(), ServerError> {
    if text.contains('\0') {
        return Err(refused("BAD_REQUEST", "a text contains the character U+0000: remove it".to_owned()));
    }
    Ok(())
}

fn check_length(length: usize) -> Result<(), ServerError> {
    if length > MAX_LIST {
        let message =
            format!("a list has {length} items, and at most {MAX_LIST} are allowed: name the set by a filter");
        return Err(refused("BAD_REQUEST", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    fn document(text: &str) -> Option<String> {
        check_document(&parse_query(text).expect("GraphQL")).err().map(|error| error.message)
    }

    fn variables(json: serde_json::Value) -> Option<String> {
        check_variables(&Variables::from_json(json)).err().map(|error| error.message)
    }

    #[test]
    fn a_null_character_is_found_wherever_it_stands() {
        for text in [
            r#"{ a(b: "x\u0000") }"#,
            r#"{ a { b(c: [{ d: ["\u0000"] }]) } }"#,
            r#"query($a: String = "\u0000") { a(b: $a) }"#,
            r#"{ a @skip(if: "\u0000") }"#,
            r#"{ ...F } fragment F on A { b(c: "\u0000") }"#,
            r#"{ ... on A @b(c: "\u0000") { d } }"#,
        ] {
            assert!(document(text).is_some_and(|message| message.contains("U+0000")), "{text}");
        }
        assert_eq!(document(r#"{ a(b: "x\\u0000", c: [1, $d, null, true, E]) }"#), None);
        for value in [json!("\0"), json!([["a\0"]]), json!({ "b": { "c": "\0" } }), json!({ "\0": 1 })] {
            assert!(variables(json!({ "a": value })).is_some(), "{value}");
        }
        assert_eq!(variables(json!({ "a": ["", { "b": null }] })), None);
    }

    #[test]
    fn a_list_may_be_long_but_not_endless() {
        assert_eq!(variables(json!({ "a": vec![0; MAX_LIST] })), None);
        assert!(variables(json!({ "a": [vec![0; MAX_LIST + 1]] })).is_some());
        assert!(document(&format!("{{ a(b: [{}]) }}", "1 ".repeat(MAX_LIST + 1))).is_some());
    }
}
