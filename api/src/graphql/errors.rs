//! How the services' refusals and faults reach the client.
//!
//! A refusal of a mutation is data (`userErrors`); one of a query is an error with the refusal's code in `extensions`. A fault
//! tells the outside nothing but an id, under which the log has its causes.

use std::sync::Arc;

use async_graphql::{Enum, ErrorExtensions, Response, SimpleObject};
use service::error::Causes;
use service::{Refusal, RefusalCode, ServiceError};
use ulid::Ulid;

/// Why a resolver has no answer.
///
/// It is not `Display`, so that only this conversion to a GraphQL error exists, and no text of a fault gets out by itself.
#[derive(Clone)]
pub struct Failure(Cause);

#[derive(Clone)]
enum Cause {
    Refusal(Refusal),
    Fault(Arc<ServiceError>),
}

/// Short for the result of a resolver.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Something that every request brings is not there.
    pub(super) fn no_context() -> Self {
        ServiceError::Inconsistent("a GraphQL request was executed without its context".to_owned()).into()
    }

    /// Something that a row refers to is not there.
    pub(super) fn missing(what: &str) -> Self {
        ServiceError::Inconsistent(format!("{what} is not there, although something refers to it")).into()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(Cause::Refusal(refusal))
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Refused(refusal) => refusal.into(),
            fault => Self(Cause::Fault(Arc::new(fault))),
        }
    }
}

impl From<Failure> for async_graphql::Error {
    fn from(failure: Failure) -> Self {
        match failure.0 {
            Cause::Refusal(refusal) => Self::new(refusal.message).extend_with(|_, extensions| {
                extensions.set("code", code_name(refusal.code));
                if !refusal.field.is_empty() {
                    extensions.set("field", refusal.field);
                }
            }),
            Cause::Fault(fault) if fault.is_transient() => {
                tracing::warn!(error = %Causes(fault.as_ref()), "a request could not be served");
                Self::new("this cannot be answered at the moment; try again")
                    .extend_with(|_, extensions| extensions.set("code", "UNAVAILABLE"))
            }
            Cause::Fault(fault) => {
                let id = Ulid::generate().to_string();
                tracing::error!(%id, error = %Causes(fault.as_ref()), "a request failed");
                Self::new("internal error").extend_with(|_, extensions| {
                    extensions.set("code", "INTERNAL");
                    extensions.set("id", id);
                })
            }
        }
    }
}

/// More errors than these help nobody: a document may have thousands of unknown fields.
const MAX_ERRORS: usize = 50;

/// What async-graphql says where an operation is too complex.
const TOO_COMPLEX: &str = "Query is too complex.";

/// Whether the operation was refused because it is too complex.
pub(super) fn is_too_complex(response: &Response) -> bool {
    response.errors.iter().any(|error| error.message == TOO_COMPLEX)
}

/// What async-graphql says where a document goes beyond a limit.
const LIMITS: &[&str] = &[TOO_COMPLEX, "nested too deep", "number of directives"];

/// Gives every error a code: those of the document itself (syntax, unknown fields, limits) come without one.
pub(super) fn with_codes(mut response: Response) -> Response {
    response.errors.truncate(MAX_ERRORS);
    for error in &mut response.errors {
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            let is_limit = LIMITS.iter().any(|words| error.message.contains(words));
            extensions.set("code", if is_limit { "TOO_COMPLEX" } else { "BAD_REQUEST" });
        }
    }
    response
}

const fn code_name(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::NotFound => "NOT_FOUND",
        RefusalCode::Conflict => "CONFLICT",
        RefusalCode::Invalid => "INVALID",
        RefusalCode::Forbidden => "FORBIDDEN",
        RefusalCode::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Why a mutation was refused. Programs may rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ErrorCode {
    /// There is no such thing.
    NotFound,
    /// It exists already, or its state does not allow this.
    Conflict,
    /// A value cannot be used.
    Invalid,
}

/// A refusal that a user can bring about, and do something about.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
pub struct UserError {
    /// Why.
    code: ErrorCode,
    /// The input field that it is about, outermost first; null where it is about none.
    field: Option<Vec<String>>,
    /// For people: what is wrong, and what to do.
    message: String,
}

/// What a mutation brought: its result, or why it was refused. That nobody is signed in, or may not do this, is an error of
/// the request.
pub(super) fn outcome<T>(result: service::Result<T>) -> Result<(Option<T>, Vec<UserError>)> {
    let refusal = match result {
        Ok(value) => return Ok((Some(value), Vec::new())),
        Err(ServiceError::Refused(refusal)) => refusal,
        Err(fault) => return Err(fault.into()),
    };
    let code = match refusal.code {
        RefusalCode::NotFound => ErrorCode::NotFound,
        RefusalCode::Conflict => ErrorCode::Conflict,
        RefusalCode::Invalid => ErrorCode::Invalid,
        RefusalCode::Forbidden | RefusalCode::Unauthenticated => return Err(refusal.into()),
    };
    let field = (!refusal.field.is_empty()).then_some(refusal.field);
    Ok((None, vec![UserError { code, field, message: refusal.message }]))
}

/// A refusal for a value that cannot be used.
pub(super) fn invalid(field: &str, message: impl Into<String>) -> Refusal {
    Refusal::field(RefusalCode::Invalid, &[field], message)
}
