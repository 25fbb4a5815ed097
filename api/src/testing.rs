//! What the tests share: an installation over an SQLite file, asked through the real routes.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::test::{self, TestRequest};
use actix_web::web::{Bytes, Data};
use actix_web::{App, cookie::Cookie};
use connectors::storage::ObjectFiles;
use connectors::tables::Formats;
use domain::source::RejectionReason;
use domain::{Clock, Provider, Timestamp};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use migration::MigratorTrait;
use serde_json::Value;
use service::accounts::{Attempt, SignInAnswer};
use service::changes::Changes;
use service::exports::ExportOptions;
use service::{Db, DbOptions, Role, Services, Subject};

use crate::graphql::{self, Schema};
use crate::health::{DatabaseHealth, Health, Probe, QueueHealth};
use crate::ingest::{IngestDoor, IngestOutcome};
use crate::{ApiOptions, AppState, GraphqlThreads, auth, routes};

pub const EMAIL: &str = "erika.muster@example.com";
/// The other origin whose pages may call the API.
pub const LISTED: &str = "https://app.example.com";
pub const PASSWORD: &str = "correct horse battery";

/// A migrated, empty SQLite database; gone when dropped.
struct TestDb {
    db: Db,
    folder: tempfile::TempDir,
}

impl TestDb {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = Db::sqlite_url(&folder.path().join("test.db"));
        let db = Db::connect(&DbOptions { url, max_connections: 4 }).await.expect("a database");
        migration::Migrator::up(db.write(), None).await.expect("migrations");
        Self { db, folder }
    }
}

/// A clock that stands still until it is moved.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Knows the sources `mail` (Mailgun) and `uni` (Unisender); the body says what becomes of it.
struct FakeDoor(Arc<Mutex<Vec<RejectionReason>>>);

impl IngestDoor for FakeDoor {
    fn known(&self, source: &str) -> Option<Provider> {
        match source {
            "mail" => Some(Provider::Mailgun),
            "uni" => Some(Provider::Unisender),
            _ => None,
        }
    }

    fn admit(&self, source: &str, headers: &[(String, String)]) -> Result<(), IngestOutcome> {
        let stranger = headers.iter().any(|(name, _)| name == "x-stranger");
        match self.known(source) {
            None => Err(IngestOutcome::UnknownSource),
            Some(_) if stranger => Err(IngestOutcome::NotAuthentic { challenge: true }),
            Some(_) => Ok(()),
        }
    }

    fn not_read(&self, _source: &str, reason: RejectionReason, _detail: &str) {
        self.0.lock().expect("unharmed").push(reason);
    }

    fn receive<'a>(
        &'a self,
        _source: &'a str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        _hold: Box<dyn Send>,
    ) -> BoxFuture<'a, IngestOutcome> {
        assert!(headers.iter().all(|(name, _)| name != "content-encoding" && name != "content-length"));
        let outcome = match body.as_slice() {
            b"forged" => IngestOutcome::NotAuthentic { challenge: false },
            b"password" => IngestOutcome::NotAuthentic { challenge: true },
            b"gibberish" => IngestOutcome::Unreadable("this is no JSON".to_owned()),
            b"later" => IngestOutcome::Unavailable,
            b"ping" => IngestOutcome::Handshake,
            _ => IngestOutcome::Stored,
        };
        ready(outcome).boxed()
    }
}

struct FakeProbe(Health);

impl Probe for FakeProbe {
    fn check(&self) -> BoxFuture<'_, Health> {
        ready(self.0).boxed()
    }
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub cookies: Vec<Cookie<'static>>,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }

    /// The code of an error of ours, in either of its forms.
    pub fn code(&self) -> String {
        let body = self.json();
        let plain = body.pointer("/error/code").or_else(|| body.pointer("/errors/0/extensions/code"));
        plain.and_then(Value::as_str).expect("a code").to_owned()
    }
}

/// An installation to ask.
pub struct Installation {
    pub services: Services,
    pub clock: Arc<TestClock>,
    /// Why bodies of webhooks could not be read.
    pub not_read: Arc<Mutex<Vec<RejectionReason>>>,
    test: TestDb,
    state: Data<AppState>,
}

impl Installation {
    pub async fn new() -> Self {
        let mut options = ApiOptions::new("http://localhost:8080");
        options.allow_origins = vec![LISTED.to_owned()];
        Self::with(options).await
    }

    pub async fn with(options: ApiOptions) -> Self {
        let health = Health { database: DatabaseHealth::Ready, queue: QueueHealth::Memory };
        Self::with_health(options, health).await
    }

    pub async fn with_health(options: ApiOptions, health: Health) -> Self {
        let test = TestDb::new().await;
        let clock = Arc::new(TestClock(AtomicI64::new(1_767_225_600_000_000)));
        let services = Services::new(test.db.clone(), clock.clone(), &[1; 32], test.folder.path());
        let files = ObjectFiles::in_folder(&test.folder.path().join("exports")).expect("a store");
        let exports = ExportOptions { public_url: options.public_url.clone(), url_hours: 24, keep_days: 7 };
        let services = services.with_exports(Arc::new(files), Arc::new(Formats), exports);
        let not_read = Arc::default();
        let state = Data::new(state(&services, options, health, &not_read).await);
        Self { services, clock, test, state, not_read }
    }

    /// The same installation with a state of its own, for a server.
    pub async fn another_state(&self) -> AppState {
        let health = Health { database: DatabaseHealth::Ready, queue: QueueHealth::Memory };
        state(&self.services, self.state.options.clone(), health, &self.not_read).await
    }

    pub fn folder(&self) -> &std::path::Path {
        self.test.folder.path()
    }

    pub fn files(&self) -> usize {
        std::fs::read_dir(self.test.folder.path().join("uploads")).map_or(0, Iterator::count)
    }

    pub async fn ask(&self, request: TestRequest) -> Answer {
        let app = test::init_service(App::new().app_data(self.state.clone()).configure(routes)).await;
        let response = test::call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let cookies = response.response().cookies().map(Cookie::into_owned).collect();
        Answer { status, headers, cookies, body: test::read_body(response).await }
    }

    /// The header of a new token.
    pub async fn token(&self, role: Role) -> (&'static str, String) {
        let admin = self.services.access(Subject::command_line()).admin().expect("an admin");
        let (_, secret) = admin.create_token("test", role, None).await.expect("a token");
        ("authorization", format!("Bearer {}", secret.expose()))
    }

    /// The cookie of a new session.
    pub async fn session(&self, role: Role) -> Cookie<'static> {
        self.add_user(role).await;
        let answer = self.services.sign_in(&Attempt::new(EMAIL, PASSWORD)).await.expect("an answer");
        let SignInAnswer::SignedIn(signed_in) = answer else { panic!("not signed in") };
        auth::cookie(&self.state.options, Some(signed_in.secret.expose()))
    }

    pub async fn add_user(&self, role: Role) {
        let admin = self.services.access(Subject::command_line()).admin().expect("an admin");
        admin.add_user(EMAIL, role, PASSWORD).await.expect("a user");
    }
}

async fn state(
    services: &Services,
    options: ApiOptions,
    health: Health,
    not_read: &Arc<Mutex<Vec<RejectionReason>>>,
) -> AppState {
    let threads = GraphqlThreads::start(services, 1).await.expect("a thread");
    AppState::new(
        services.clone(),
        (schema(), threads),
        Arc::new(FakeDoor(not_read.clone())),
        Arc::new(FakeProbe(health)),
        options,
    )
}

fn schema() -> Schema {
    graphql::build_schema(&Changes::default())
}
