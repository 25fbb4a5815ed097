//! Is the process alive, and can it do its work?

use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures::future::BoxFuture;
use serde_json::json;

use crate::AppState;
use crate::auth::Credential;

/// A probe that takes longer has failed.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// Knows how the installation is.
pub trait Probe: Send + Sync {
    /// Looks at the database and the queue.
    fn check(&self) -> BoxFuture<'_, Health>;
}

/// How the installation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// The database that everything needs.
    pub database: DatabaseHealth,
    /// What wakes the workers.
    pub queue: QueueHealth,
}

/// How the database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseHealth {
    /// It answers, and its schema is ours.
    Ready,
    /// It answers, but migrations are missing.
    NotMigrated,
    /// It does not answer.
    Unreachable,
}

/// How the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueHealth {
    /// It is in the memory of this process.
    Memory,
    /// Redis answers.
    Redis,
    /// Redis does not answer: work is stored, and waits or goes the slow way.
    RedisUnreachable,
}

impl DatabaseHealth {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotMigrated => "not migrated",
            Self::Unreachable => "unreachable",
        }
    }
}

impl QueueHealth {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Memory => "in memory",
            Self::Redis => "Redis",
            Self::RedisUnreachable => "Redis, unreachable",
        }
    }
}

impl Health {
    const UNKNOWN: Self = Self { database: DatabaseHealth::Unreachable, queue: QueueHealth::RedisUnreachable };

    /// Whether requests can be served.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self.database == DatabaseHealth::Ready
    }

    /// In a word.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            _ if !self.is_ready() => "unready",
            Self { queue: QueueHealth::RedisUnreachable, .. } => "degraded",
            _ => "ready",
        }
    }
}

/// What the probe says, or the worst where it does not say anything in time.
pub async fn look(state: &AppState) -> Health {
    tokio::time::timeout(TIME_LIMIT, state.probe.check()).await.unwrap_or(Health::UNKNOWN)
}

/// `GET /healthz`: the process answers, which is all there is to it.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

/// `GET /readyz`: without the queue it is degraded, and still ready. What is wrong is told to admins.
pub async fn ready(state: Data<AppState>, request: HttpRequest) -> HttpResponse {
    let health = look(&state).await;
    let mut response = if health.is_ready() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    if !is_admin(&state, &request).await {
        return response.json(json!({ "status": health.words() }));
    }
    response.json(json!({
        "status": health.words(),
        "database": health.database.words(),
        "queue": health.queue.words(),
    }))
}

async fn is_admin(state: &AppState, request: &HttpRequest) -> bool {
    let Some(credential) = Credential::of(request, &state.options) else { return false };
    let access = tokio::time::timeout(TIME_LIMIT, credential.access(&state.services)).await;
    access.is_ok_and(|access| access.is_ok_and(|access| access.is_some_and(|access| access.admin().is_ok())))
}
