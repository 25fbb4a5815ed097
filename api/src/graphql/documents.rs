//! Documents that have been read: clients send the same few again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::parser::types::{BaseType, ExecutableDocument, Type};
use async_graphql::{Request, ServerError};
use moka::future::Cache;

use super::limits;

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
    lightness: Lightness,
}

/// Whether a document may be executed where its request arrives: [`limits::is_light`], and not found to ask for more.
#[derive(Clone, Default)]
pub struct Lightness(Option<Arc<AtomicBool>>);

impl Lightness {
    fn of(query: &str, document: &ExecutableDocument) -> Self {
        Self(limits::is_light(query, document).then(Arc::default))
    }

    fn is_light(&self) -> bool {
        self.0.as_ref().is_some_and(|heavy| !heavy.load(Ordering::Relaxed))
    }

    /// With some variables it asks for more than [`limits::LIGHT_COMPLEXITY`].
    pub fn disprove(&self) {
        if let Some(heavy) = &self.0 {
            heavy.store(true, Ordering::Relaxed);
        }
    }
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
    /// Where it is no GraphQL, or beyond a limit.
    pub async fn prepare(&self, mut request: Request) -> Result<(Request, Validity), ServerError> {
        limits::check_variables(&request)?;
        if let Some(Document { parsed, validity, .. }) = self.0.get(request.query.as_str()).await {
            request.set_parsed_query(parsed);
            return Ok((request, validity));
        }
        let parsed = limits::read(&mut request)?;
        if request.query.len() > MAX_KEPT_LENGTH {
            return Ok((request, Validity::default()));
        }
        let (validity, lightness) = (Validity::unknown(&parsed), Lightness::of(&request.query, &parsed));
        self.0.insert(request.query.clone(), Document { parsed, validity: validity.clone(), lightness }).await;
        Ok((request, validity))
    }

    /// The same for a document that is known to be valid and light; gives the request back otherwise.
    ///
    /// # Errors
    /// Where the document is another one.
    pub async fn prepare_light(&self, mut request: Request) -> Result<(Request, Lightness), Request> {
        match self.0.get(request.query.as_str()).await {
            Some(Document { parsed, validity, lightness })
                if validity.is_known() && lightness.is_light() && limits::check_variables(&request).is_ok() =>
            {
                request.set_parsed_query(parsed);
                Ok((request, lightness))
            }
            _ => Err(request),
        }
    }
}
