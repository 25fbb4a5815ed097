//! What a request may ask for at most, and how its text is read.
//!
//! The library limits depth, complexity and directives, but only after its recursive parser and its validation have walked the document.
//! Here a text is measured before it is parsed ([`text`]), and a document before it is validated ([`measure`]).

mod measure;
mod text;
mod values;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::ExecutableDocument;
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
