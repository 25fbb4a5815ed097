//! What a request may ask for at most, and how its text is read.
//!
//! The library limits depth, complexity and directives, but only after its recursive parser and its validation have walked the document.
//! Here a text is measured before it is parsed ([`text`]), and a document before it is validated ([`measure`]).

mod measure;
mod text;
mod values;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{Request, ServerError, Value};

pub use text::json_nesting;

/// How deep brackets may be nested in a document, and in the JSON of its variables.
pub const MAX_NESTING: usize = 64;
/// How deep fields may be nested.
pub const MAX_DEPTH: usize = 12;
/// How deep the fields of the introspection may be nested; the standard query has 13 levels, that of newer tools 15.
pub const MAX_INTROSPECTION_DEPTH: usize = 20;
/// How deep selection sets may be nested, fragments among them.
pub const MAX_LEVELS: usize = 100;
/// How many fields, fragments and spreads a document may have once its fragments are expanded.
pub const MAX_SELECTIONS: u64 = 3_000;
/// How many fragments a document may define.
pub const MAX_FRAGMENTS: usize = 200;
/// How many operations a document may hold, of which one is executed.
pub const MAX_OPERATIONS: usize = 50;
/// How long a document may be, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;
/// How much may be asked for: a field is 1, a page is its rows times what is asked for of each.
pub const MAX_COMPLEXITY: usize = 20_000;
/// How many directives a field may have.
pub const MAX_DIRECTIVES: usize = 4;
/// How many aliases and repeated fields a document may have.
pub const MAX_ALIASES: usize = 30;
/// How many items a list in a value may have: as many as a set may name.
pub const MAX_LIST: usize = 10_000;

/// How deep brackets may be nested in a light document.
const LIGHT_NESTING: usize = 24;
/// How many selections a light document may have.
const LIGHT_SELECTIONS: u64 = 150;
/// How much a light document may ask for: a page of 100 rows with nine fields each. Resolving and writing it takes less than a
/// millisecond.
pub const LIGHT_COMPLEXITY: usize = 1_000;

/// Whether executing a document takes little time between its statements, and little of the stack, as long as it asks for no more than
/// [`LIGHT_COMPLEXITY`]: one query without the introspection, few fields, flat values.
#[must_use]
pub fn is_light(query: &str, document: &ExecutableDocument) -> bool {
    let mut operations = document.operations.iter();
    let is_query = operations.next().is_some_and(|(_, operation)| operation.node.ty == OperationType::Query);
    let is_introspection = |(at, name): (usize, &str)| !query.split_at(at + name.len()).1.starts_with("name");
    is_query
        && operations.next().is_none()
        && text::document_nesting(query) <= LIGHT_NESTING
        && !query.contains("__schema")
        // `__typename` is a plain field.
        && !query.match_indices("__type").any(is_introspection)
        && measure::selections(document).is_ok_and(|count| count <= LIGHT_SELECTIONS)
}

/// Reads the text of a request.
///
/// # Errors
/// Where it is no GraphQL, or beyond a limit.
pub fn read(request: &mut Request) -> Result<ExecutableDocument, ServerError> {
    let document = read_text(&request.query)?;
    request.set_parsed_query(document.clone());
    Ok(document)
}

fn read_text(query: &str) -> Result<ExecutableDocument, ServerError> {
    if query.len() > MAX_LENGTH {
        let length = query.len();
        return Err(exceeds(format_args!("the document has {length} bytes"), MAX_LENGTH, "pass values as variables"));
    }
    let nesting = text::document_nesting(query);
    if nesting > MAX_NESTING {
        let what = format_args!("brackets are nested {nesting} deep");
        return Err(exceeds(what, MAX_NESTING, "flatten the document, or pass values as variables"));
    }
    let document = parse_query(query)?;
    measure::check(&document)?;
    values::check_document(&document)?;
    Ok(document)
}

/// Checks the variables of a request.
///
/// # Errors
/// Where a value cannot be used by any field.
pub fn check_variables(request: &Request) -> Result<(), ServerError> {
    values::check_variables(&request.variables)
}

/// An error for a document beyond a limit: it states the value, the limit and the remedy.
pub(super) fn exceeds(what: impl std::fmt::Display, limit: impl std::fmt::Display, remedy: &str) -> ServerError {
    refused("TOO_COMPLEX", format!("{what}, and at most {limit} are allowed: {remedy}"))
}

/// An error with a code.
pub(super) fn refused(code: &str, message: String) -> ServerError {
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", Value::from(code));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_flat_fields_are_light() {
        let is_light = |query: &str| is_light(query, &parse_query(query).expect("GraphQL"));
        assert!(is_light("query($id: ID!) { campaign(id: $id) { __typename statistics { sent __typename } } }"));
        assert!(is_light("{ ...F } fragment F on Query { campaigns(first: 9) { nodes { name } } }"));
        for heavy in [
            "mutation { a }",
            "query A { a } query B { b }",
            "{ __schema { queryType { name } } }",
            "{ __typename __type(name: \"A\") { name } }",
        ] {
            assert!(!is_light(heavy), "{heavy}");
        }
        assert!(!is_light(&format!("{{ {} }}", " a".repeat(200))));
        assert!(!is_light(&format!("{{ a(b: {}1{}) }}", "[".repeat(30), "]".repeat(30))));
    }
}
