//! What a request may ask for at most, and how its text is read.
//!
//! Depth, complexity and directives are limited by the library; it does not count aliases, by which a short text asks for the
//! same field a thousand times, and reads and validates every text anew although a client sends the same few.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{BaseType, ExecutableDocument, Selection, SelectionSet, Type};
use async_graphql::{Request, ServerError, Value};
use moka::future::Cache;

/// How deep fields may be nested.
pub const MAX_DEPTH: usize = 12;
/// How much may be asked for: a field is 1, a page is its rows times what is asked for of each.
pub const MAX_COMPLEXITY: usize = 20_000;
/// How many directives a field may have.
pub const MAX_DIRECTIVES: usize = 4;
/// How many aliases a document may have.
pub const MAX_ALIASES: usize = 30;

/// How many documents are kept.
const KEPT_DOCUMENTS: u64 = 256;
/// A longer document is read anew each time.
const MAX_KEPT_LENGTH: usize = 16 * 1024;

/// Documents that have been read.
#[derive(Clone)]
pub struct Documents(Cache<String, Document>);

#[derive(Clone)]
struct Document {
    parsed: ExecutableDocument,
    validity: Validity,
}

/// Whether a document is known to be valid. Executing one that was executed before need not ask again for types, fields and
/// arguments; its depth and complexity, which depend on the variables, are still measured.
///
/// Of input objects in variables only validation finds fields that do not exist: documents with such are never known.
#[derive(Clone, Default)]
pub struct Validity(Option<Arc<AtomicBool>>);

impl Validity {
    fn unknown(document: &ExecutableDocument) -> Self {
        let mut variables = document.operations.iter().flat_map(|(_, operation)| &operation.node.variable_definitions);
        let plain = variables.all(|variable| is_builtin(&variable.node.var_type.node));
        Self(plain.then(Arc::default))
    }

    /// It was executed without errors before.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.as_ref().is_some_and(|known| known.load(Ordering::Relaxed))
    }

    /// It has been executed without errors.
    pub fn note(&self) {
        if let Some(known) = &self.0 {
            known.store(true, Ordering::Relaxed);
        }
    }
}

fn is_builtin(kind: &Type) -> bool {
    match &kind.base {
        BaseType::Named(name) => ["Boolean", "Float", "ID", "Int", "String"].contains(&name.as_str()),
        BaseType::List(inner) => is_builtin(inner),
    }
}

impl Default for Documents {
    fn default() -> Self {
        Self(Cache::new(KEPT_DOCUMENTS))
    }
}

impl Documents {
    /// Reads the text of a request, or remembers having read it; says whether it is known to be valid.
    ///
    /// # Errors
    /// Where it is no GraphQL, or has too many aliases.
    pub async fn prepare(&self, mut request: Request) -> Result<(Request, Validity), ServerError> {
        if let Some(Document { parsed, validity }) = self.0.get(request.query.as_str()).await {
            request.set_parsed_query(parsed);
            return Ok((request, validity));
        }
        let parsed = read(&mut request)?;
        if request.query.len() > MAX_KEPT_LENGTH {
            return Ok((request, Validity::default()));
        }
        let validity = Validity::unknown(&parsed);
        self.0.insert(request.query.clone(), Document { parsed, validity: validity.clone() }).await;
        Ok((request, validity))
    }
}

/// Reads the text of a request.
///
/// # Errors
/// As [`Documents::prepare`].
pub fn read(request: &mut Request) -> Result<ExecutableDocument, ServerError> {
    let document = parse_query(&request.query)?;
    check_aliases(&document)?;
    request.set_parsed_query(document.clone());
    Ok(document)
}

fn check_aliases(document: &ExecutableDocument) -> Result<(), ServerError> {
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    let count: usize = operations.chain(fragments).map(aliases).sum();
    if count <= MAX_ALIASES {
        return Ok(());
    }
    let mut error =
        ServerError::new(format!("a document may have {MAX_ALIASES} aliases at most, and this one has {count}"), None);
    error.extensions.get_or_insert_default().set("code", Value::from("TOO_COMPLEX"));
    Err(error)
}

fn aliases(selection: &SelectionSet) -> usize {
    let count = |item: &Selection| match item {
        Selection::Field(field) => usize::from(field.node.alias.is_some()) + aliases(&field.node.selection_set.node),
        Selection::InlineFragment(fragment) => aliases(&fragment.node.selection_set.node),
        Selection::FragmentSpread(_) => 0,
    };
    selection.items.iter().map(|item| count(&item.node)).sum()
}
