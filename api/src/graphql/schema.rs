//! The schema: its roots, its limits, and how a request is executed.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql::{
    BatchRequest, BatchResponse, Context, Data, MergedObject, Request, Response, SDLExportOptions, ServerError,
    ValidationMode, Variables,
};
use futures::future::join_all;
use futures::stream::BoxStream;
use service::changes::Changes;
use service::{Access, Reader, Refusal, RefusalCode};

use super::account::AccountMutation;
use super::batch::{Budget, BudgetOfBatch, TooComplex};
use super::campaign::KnownCampaigns;
use super::correction::{CorrectionMutation, CorrectionQuery};
use super::crm::{CrmMutation, CrmQuery};
use super::documents::Documents;
use super::errors::{self, Result};
use super::limits;
use super::loaders::Loaders;
use super::mutation::Mutation;
use super::query::Query;
use super::source::SourceQuery;
use super::subscription::Subscription;
use super::user::{UserMutation, UserQuery};

/// What can be asked for.
#[derive(Default, MergedObject)]
#[graphql(name = "Query")]
struct QueryRoot(Query, CrmQuery, CorrectionQuery, UserQuery, SourceQuery);

/// What can be changed. A refusal that a user can bring about is in `userErrors`, not in `errors`.
#[derive(Default, MergedObject)]
#[graphql(name = "Mutation")]
struct MutationRoot(Mutation, CrmMutation, CorrectionMutation, UserMutation, AccountMutation);

type Inner = async_graphql::Schema<QueryRoot, MutationRoot, Subscription>;

/// What a socket answers to any other operation than a subscription.
pub const SUBSCRIPTIONS_ONLY: &str = "this socket is for subscriptions; send queries and mutations to POST /graphql";

/// The schema, ready to execute requests; cheap to clone. The data of each request must hold a [`service::Access`].
#[derive(Clone)]
pub struct Schema {
    inner: Inner,
    /// The same, for documents that are known to be valid.
    known: Inner,
    /// The same, for documents that are known and ask for little.
    light: Inner,
    /// The same, for operations that share a budget.
    batched: Inner,
    /// The same, for operations that are too complex: it says how complex they are.
    measuring: Inner,
    documents: Documents,
}

/// The schema of an installation; `changes` tells when something changes.
#[must_use]
pub fn build_schema(changes: &Changes) -> Schema {
    let campaigns = KnownCampaigns::default();
    let prepare = |mode| builder().validation_mode(mode).data(changes.clone()).data(campaigns.clone());
    let (inner, known) = (prepare(ValidationMode::Strict).finish(), prepare(ValidationMode::Fast).finish());
    let light = prepare(ValidationMode::Fast).limit_complexity(limits::LIGHT_COMPLEXITY).finish();
    // Not in the others: with any extension, the library takes a slower way through each field.
    let batched = prepare(ValidationMode::Strict).extension(BudgetOfBatch).finish();
    let measuring = unlimited().extension(TooComplex).finish();
    Schema { inner, known, light, batched, measuring, documents: Documents::default() }
}

fn builder() -> async_graphql::SchemaBuilder<QueryRoot, MutationRoot, Subscription> {
    unlimited().limit_complexity(limits::MAX_COMPLEXITY)
}

/// Without a limit of the complexity.
fn unlimited() -> async_graphql::SchemaBuilder<QueryRoot, MutationRoot, Subscription> {
    async_graphql::Schema::build(QueryRoot::default(), MutationRoot::default(), Subscription)
        // Depth is limited in `limits`, where the introspection has a limit of its own.
        .limit_depth(limits::MAX_INTROSPECTION_DEPTH)
        .limit_recursive_depth(limits::MAX_LEVELS)
        .limit_directives(limits::MAX_DIRECTIVES)
}

/// The schema in GraphQL's own language, in a stable order.
#[must_use]
pub fn sdl() -> String {
    let options = SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items().include_specified_by();
    builder().finish().sdl_with_options(options)
}

impl Schema {
    /// Executes a request that brings its [`Access`].
    pub async fn execute(&self, request: impl Into<Request>) -> Response {
        let (request, validity) = match self.documents.prepare(request.into()).await {
            Ok(prepared) => prepared,
            Err(error) => return errors::with_codes(Response::from_errors(vec![error])),
        };
        let schema = if validity.is_known() { &self.known } else { &self.inner };
        let asked = Asked::of(&request);
        let response = schema.execute(request.data(Loaders::default())).await;
        if response.is_ok() {
            validity.note();
        }
        self.explained(asked, response).await
    }

    /// The response with a code for each error. That an operation is too complex is said with its complexity, which the library keeps.
    async fn explained(&self, asked: Asked, response: Response) -> Response {
        if errors::is_too_complex(&response)
            && let Ok((request, _)) = self.documents.prepare(asked.again()).await
        {
            return errors::with_codes(self.measuring.execute(request).await);
        }
        errors::with_codes(response)
    }

    /// Executes a request that brings its [`Access`] if it asks for little, so that it may be executed on any thread, and was executed
    /// before; `None` otherwise.
    pub async fn execute_light(&self, request: Request) -> Option<Response> {
        let (request, lightness) = self.documents.prepare_light(request).await.ok()?;
        let response = self.light.execute(request.data(Loaders::default())).await;
        // Refused before it was begun: there is more room where others are executed.
        if errors::is_too_complex(&response) {
            lightness.disprove();
            return None;
        }
        Some(errors::with_codes(response))
    }

    /// Executes several requests, or one. Several have together what one may ask for.
    pub async fn execute_batch(&self, batch: BatchRequest) -> BatchResponse {
        match batch {
            BatchRequest::Single(request) => BatchResponse::Single(self.execute(request).await),
            BatchRequest::Batch(requests) => {
                let budget = Budget::default();
                let execute = |request: Request| self.execute_within(request.data(budget.clone()));
                BatchResponse::Batch(join_all(requests.into_iter().map(execute)).await)
            }
        }
    }

    async fn execute_within(&self, request: Request) -> Response {
        match self.documents.prepare(request).await {
            Ok((request, _)) => {
                let asked = Asked::of(&request);
                let response = self.batched.execute(request.data(Loaders::default())).await;
                self.explained(asked, response).await
            }
            Err(error) => errors::with_codes(Response::from_errors(vec![error])),
        }
    }

    /// Executes a subscription whose session brings the [`Access`].
    pub fn execute_stream(&self, request: impl Into<Request>, session: Arc<Data>) -> BoxStream<'static, Response> {
        let mut request = request.into().data(Loaders::default());
        match read_subscription(&mut request) {
            Ok(()) => self.inner.execute_stream_with_session_data(request, session),
            Err(error) => Box::pin(futures::stream::once(async { Response::from_errors(vec![error]) })),
        }
    }
}

/// What was asked for, without who asked.
struct Asked {
    query: String,
    variables: Variables,
    operation: Option<String>,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let Request { query, variables, operation_name, .. } = request;
        Self { query: query.clone(), variables: variables.clone(), operation: operation_name.clone() }
    }

    fn again(self) -> Request {
        let request = Request::new(self.query).variables(self.variables);
        match self.operation {
            Some(operation) => request.operation_name(operation),
            None => request,
        }
    }
}

/// Reads a document whose operations all have to be subscriptions.
fn read_subscription(request: &mut Request) -> std::result::Result<(), ServerError> {
    let document = limits::read(request)?;
    if !document.operations.iter().all(|(_, operation)| operation.node.ty == OperationType::Subscription) {
        return Err(ServerError::new(SUBSCRIPTIONS_ONLY, None));
    }
    limits::check_variables(request)
}

/// What the subject of the request may do.
///
/// # Errors
/// A refusal where nobody is signed in.
pub(super) fn access<'a>(ctx: &Context<'a>) -> Result<&'a Access> {
    let refusal = || Refusal::new(RefusalCode::Unauthenticated, "sign in, or send a valid API token");
    Ok(ctx.data_opt::<Access>().ok_or_else(refusal)?)
}

/// For looking at things.
///
/// # Errors
/// A refusal where nobody is signed in.
pub(super) fn reader(ctx: &Context<'_>) -> Result<Reader> {
    Ok(access(ctx)?.reader())
}
