//! The outside of nachfass over HTTP: thin. It finds out who is asking, calls the services and converts what they say.
//!
//! One file for each subject; [`routes`] is the list of addresses. GraphQL's types are in [`graphql`].

mod assets;
pub mod auth;
mod body;
mod bounded;
mod concurrency;
mod connections;
mod cors;
mod crm_webhook;
pub mod errors;
mod exports;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod graphiql;
pub mod graphql;
mod graphql_http;
mod graphql_threads;
mod graphql_ws;
pub mod health;
mod index;
pub mod ingest;
mod options;
pub mod rate_limit;
pub mod request_id;
mod security;
mod session;
pub mod sign_in;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod uploads;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpServer};
use service::Services;
use tokio_util::sync::CancellationToken;

use crate::body::budget::Budget;
use crate::concurrency::Concurrency;
use crate::connections::Connections;
use crate::errors::ApiError;
use crate::graphql::Schema;
use crate::health::Probe;
use crate::ingest::IngestDoor;
use crate::rate_limit::SignInLimits;

pub use graphql_threads::GraphqlThreads;
pub use options::ApiOptions;

/// Seconds that requests get to end once the program is told to stop.
const SHUTDOWN_SECONDS: u64 = 25;

/// Longer than reverse proxies keep a connection for its next request (nginx: 60 s): whoever closes first must not be us.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// What all requests share.
#[derive(Clone)]
pub struct AppState {
    services: Services,
    schema: Schema,
    ingest: Arc<dyn IngestDoor>,
    probe: Arc<dyn Probe>,
    options: ApiOptions,
    sign_in_limits: Arc<SignInLimits>,
    graphql: GraphqlThreads,
    concurrency: Arc<Concurrency>,
    /// Memory budget of webhook bodies.
    bodies: Budget,
    /// Cancelled when the program stops: what has no end of its own ends then.
    stopping: CancellationToken,
}

impl AppState {
    /// Over these services; `graphql` executes `schema`, `ingest` takes what providers post, `probe` knows how the installation is.
    #[must_use]
    pub fn new(
        services: Services,
        (schema, graphql): (Schema, GraphqlThreads),
        ingest: Arc<dyn IngestDoor>,
        probe: Arc<dyn Probe>,
        options: ApiOptions,
    ) -> Self {
        let sign_in_limits = Arc::new(SignInLimits::new());
        let concurrency = Arc::new(Concurrency::new(options.max_sockets, options.max_subscriptions));
        let (bodies, stopping) = (Budget::default(), CancellationToken::new());
        Self { services, schema, ingest, probe, options, sign_in_limits, graphql, concurrency, bodies, stopping }
    }
}

/// Serves until `shutdown` is cancelled; requests that are under way may end, within 30 seconds.
///
/// # Errors
/// Where the listener cannot be used.
pub async fn serve(listener: TcpListener, mut state: AppState, shutdown: CancellationToken) -> std::io::Result<()> {
    state.stopping = shutdown.clone();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let connections = Arc::new(Connections::new(&state.options));
    // The threads for GraphQL have connections as well.
    let of = u32::try_from(2 * threads).unwrap_or(u32::MAX);
    let app = move || {
        let services = state.services.of_thread(of);
        App::new().app_data(Data::new(AppState { services, ..state.clone() })).configure(routes)
    };
    HttpServer::new(app)
        .workers(threads)
        .on_connect(move |stream, data| connections.accept(stream, data))
        .keep_alive(KEEP_ALIVE)
        .disable_signals()
        .shutdown_signal(shutdown.cancelled_owned())
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .listen(listener)?
        .run()
        .await
}

/// All addresses, with what every answer goes through. The application's data must hold `Data<AppState>`.
pub fn routes(config: &mut ServiceConfig) {
    // The last one wrapped sees the request first (it gets its id before anything can fail) and the answer last.
    // Files go out as they are: their length is said, and parts of them are asked for.
    let files = web::scope("/exports")
        .wrap(from_fn(cors::allow))
        .wrap(from_fn(errors::render))
        .wrap(from_fn(security::headers))
        .wrap(from_fn(request_id::track))
        .wrap(from_fn(connections::count))
        .service(web::resource("/{id}").get(exports::download).head(exports::download))
        .default_service(web::to(|| async { Err::<&str, _>(ApiError::NotFound) }));
    config.service(files);
    let scope = web::scope("")
        .wrap(from_fn(cors::allow))
        .wrap(from_fn(errors::render))
        .wrap(Compress::default())
        .wrap(from_fn(security::headers))
        .wrap(from_fn(request_id::track))
        .wrap(from_fn(connections::count))
        .configure(addresses)
        .default_service(web::to(|| async { Err::<&str, _>(ApiError::NotFound) }));
    config.service(scope);
}

fn addresses(config: &mut ServiceConfig) {
    let at = web::resource::<&str>;
    config
        .service(at("/").get(index::show))
        .service(at("/assets/{file}").get(assets::page_file))
        .service(at("/healthz").get(health::alive).head(health::alive))
        .service(at("/readyz").get(health::ready).head(health::ready))
        .service(at("/session").post(session::sign_in).delete(session::sign_out))
        .service(at("/session/password").post(session::change_password))
        .service(at("/graphql").post(graphql_http::execute))
        .service(at("/graphql/ws").get(graphql_ws::connect))
        .service(at("/graphiql").get(graphiql::show))
        .service(at("/graphiql/{file}").get(assets::graphiql_file))
        .service(at("/ingest/{source}").post(ingest::receive).head(ingest::greet).get(ingest::check))
        .service(at("/crm/webhook").post(crm_webhook::receive))
        .service(at("/uploads").post(uploads::store));
}
