//! What apalis shows of its queues in Redis: the board, for admins, at an address of its own.
//!
//! apalis-board lets everybody in and anybody push. Here nobody comes in without the sign-in that the program hands in, and whoever
//! does may only look: the queues carry nothing but pointers, and what is done with jobs is done in GraphQL and by `nachfass jobs`.

mod answers;

use std::net::{IpAddr, TcpListener};
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::Data;
use actix_web::{App, HttpResponse, HttpServer, Scope};
use apalis_board::actix::framework::{ApiBuilder, RegisterRoute};
use apalis_board::actix::ui::ServeUI;
use futures::future::BoxFuture;
use service::jobs::Queue;
use tokio_util::sync::CancellationToken;

use crate::WorkerError;
use crate::queue::{Pointer, Queues, queue_name};

/// What a request shows to be let in.
#[derive(Clone, Default)]
pub struct Shown {
    /// The value of its `Authorization` header.
    pub authorization: Option<String>,
    /// Its cookies, name and value.
    pub cookies: Vec<(String, String)>,
    /// Where it comes from.
    pub address: Option<IpAddr>,
}

/// Whether somebody is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// An admin.
    Granted,
    /// An admin who has just signed in, and gets this cookie, name and value, to be known by.
    Begun(String, String),
    /// Nobody, or somebody who may not.
    Refused,
    /// Somebody who has tried too often.
    TooOften,
    /// The database could not be asked.
    Unknown,
}

/// Finds out whether somebody is an admin.
pub type Doorkeeper = Arc<dyn Fn(Shown) -> BoxFuture<'static, Admission> + Send + Sync>;

/// Requests are few: one thread answers them.
const THREADS: usize = 1;
/// Seconds that requests get to end once the program is told to stop.
const SHUTDOWN_SECONDS: u64 = 5;

/// The board's own page loads a module from an inline script, and that a WebAssembly module, which sets styles.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' \
    'sha256-r4HUiKO/PLcxGdG30zpQj9OoYnEN4S4xpTrtJlqANt4='; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Shows the board until `shutdown`. To be run where actix may run: on a thread of its own.
///
/// # Errors
/// Where the queues are in memory, Redis cannot be reached when it starts, or the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    queues: Queues,
    doorkeeper: Doorkeeper,
    shutdown: CancellationToken,
) -> Result<(), WorkerError> {
    let Queues::Redis(queues) = queues else { return Err(WorkerError::NoBoard) };
    let storages = queues.storages().await?;
    let app = move || {
        let api = storages.iter().fold(ApiBuilder::new(Scope::new("/api/v1")), |api, (queue, storage)| {
            RegisterRoute::<_, Pointer>::register(api, queue_name(*queue), storage.clone())
        });
        App::new()
            .app_data(Data::new(doorkeeper.clone()))
            .app_data(Data::new(queues.clone()))
            .wrap(from_fn(admit))
            .wrap(from_fn(headers))
            .configure(answers::routes)
            .service(api.build())
            .service(ServeUI::new())
    };
    let server = HttpServer::new(app)
        .workers(THREADS)
        .disable_signals()
        .shutdown_signal(shutdown.cancelled_owned())
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .listen(listener)?;
    Ok(server.run().await?)
}

/// Lets admins look.
async fn admit<B: MessageBody + 'static>(
    doorkeeper: Data<Doorkeeper>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let refuse =
        |request: ServiceRequest, response: HttpResponse| Ok(request.into_response(response).map_into_right_body());
    let text = |status, text| HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(text);
    let shown = Shown {
        authorization: request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned),
        cookies: cookies(&request),
        address: request.peer_addr().map(|peer| peer.ip()),
    };
    let begun = match doorkeeper(shown).await {
        Admission::Granted => None,
        Admission::Begun(name, value) => Some((name, value)),
        Admission::Refused => {
            let mut response = text(
                StatusCode::UNAUTHORIZED,
                "sign in as an admin; with a second factor, use a token or sign in at the page first\n",
            );
            let challenge = HeaderValue::from_static("Basic realm=\"nachfass board\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            return refuse(request, response);
        }
        Admission::TooOften => {
            return refuse(request, text(StatusCode::TOO_MANY_REQUESTS, "too many attempts: wait a while\n"));
        }
        Admission::Unknown => {
            return refuse(request, text(StatusCode::SERVICE_UNAVAILABLE, "the database cannot be asked\n"));
        }
    };
    if !request.method().is_safe() {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "the board only shows\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refuse(request, response);
    }
    let mut response = next.call(request).await?.map_into_left_body();
    if let Some((name, value)) = begun {
        let cookie = Cookie::build(name, value).path("/").http_only(true).same_site(SameSite::Strict).finish();
        response.response_mut().add_cookie(&cookie).map_err(actix_web::error::ErrorInternalServerError)?;
    }
    Ok(response)
}

fn cookies(request: &ServiceRequest) -> Vec<(String, String)> {
    let Ok(cookies) = request.cookies() else { return Vec::new() };
    cookies.iter().map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned())).collect()
}

/// What keeps browsers from doing what nobody asked for.
async fn headers(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

/// What the board calls the queues.
#[must_use]
pub const fn names() -> [&'static str; 3] {
    [queue_name(Queue::Events), queue_name(Queue::Interactive), queue_name(Queue::Bulk)]
}
