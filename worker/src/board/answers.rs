//! Answers that apalis-board expects and apalis-redis does not give, see [`crate::queue::figures`].

use std::convert::Infallible;
use std::time::Duration;

use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use apalis_core::backend::{QueueInfo, RunningWorker, StatType, Statistic};
use futures::StreamExt;
use serde::Serialize;
use service::error::Causes;

use crate::WorkerError;
use crate::queue::figures::Figures;
use crate::queue::queue_name;
use crate::queue::redis::RedisQueues;

/// So often a line that is open says so.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Their addresses; to be configured before those of apalis-board.
pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/api/v1/queues", web::get().to(queues))
        .route("/api/v1/overview", web::get().to(overview))
        .route("/api/v1/workers", web::get().to(all_workers))
        .route("/api/v1/events", web::get().to(events))
        .route("/api/v1/queues/{queue}/stats", web::get().to(of_queue))
        .route("/api/v1/queues/{queue}/workers", web::get().to(workers_of_queue));
}

async fn queues(redis: Data<RedisQueues>) -> impl Responder {
    let info = |figures: &Figures| QueueInfo {
        name: queue_name(figures.queue).to_owned(),
        stats: statistics(std::slice::from_ref(figures)),
        workers: figures.workers.iter().map(|(name, _)| name.clone()).collect(),
        // What was done stands in the database: here nothing of it is kept.
        activity: Vec::new(),
    };
    answer(redis.figures().await.map(|all| all.iter().map(info).collect::<Vec<_>>()))
}

/// The board's log of events: what happens stands in nachfass' own log, so nothing ever comes here but that the line is open.
async fn events() -> impl Responder {
    let alive = futures::stream::unfold((), |()| async {
        tokio::time::sleep(ALIVE_EVERY).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b": alive\n\n")), ()))
    });
    let open = futures::stream::once(async { Ok(Bytes::from_static(b": open\n\n")) });
    HttpResponse::Ok().content_type("text/event-stream").streaming(open.chain(alive))
}

async fn overview(redis: Data<RedisQueues>) -> impl Responder {
    answer(redis.figures().await.map(|all| statistics(&all)))
}

async fn all_workers(redis: Data<RedisQueues>) -> impl Responder {
    answer(redis.figures().await.map(|all| workers(&all)))
}

async fn of_queue(redis: Data<RedisQueues>, queue: Path<String>) -> impl Responder {
    answer(redis.figures().await.map(|all| statistics(&only(all, &queue))))
}

async fn workers_of_queue(redis: Data<RedisQueues>, queue: Path<String>) -> impl Responder {
    answer(redis.figures().await.map(|all| workers(&only(all, &queue))))
}

fn only(mut all: Vec<Figures>, queue: &str) -> Vec<Figures> {
    all.retain(|figures| queue_name(figures.queue) == queue);
    all
}

fn statistics(all: &[Figures]) -> Vec<Statistic> {
    let sum = |of: fn(&Figures) -> u64| all.iter().map(of).sum::<u64>();
    let figures = [
        ("RUNNING_JOBS", sum(|figures| figures.running)),
        ("PENDING_JOBS", sum(|figures| figures.waiting)),
        ("FAILED_JOBS", sum(|figures| figures.dead)),
        ("DONE_JOBS", sum(|figures| figures.done)),
    ];
    let statistic = |(priority, (title, value)): (u64, (&str, u64))| Statistic {
        title: title.to_owned(),
        stat_type: StatType::Number,
        value: value.to_string(),
        priority: Some(priority),
    };
    (1..).zip(figures).map(statistic).collect()
}

fn workers(all: &[Figures]) -> Vec<RunningWorker> {
    let worker = |queue: &str, (id, seen): &(String, u64)| RunningWorker {
        id: id.clone(),
        queue: queue.to_owned(),
        backend: "RedisStorage".to_owned(),
        // Not known.
        started_at: 0,
        last_heartbeat: *seen,
        layers: String::new(),
    };
    let of = |figures: &Figures| {
        figures.workers.iter().map(|found| worker(queue_name(figures.queue), found)).collect::<Vec<_>>()
    };
    all.iter().flat_map(of).collect()
}

fn answer<T: Serialize>(result: Result<T, WorkerError>) -> HttpResponse {
    match result {
        Ok(found) => HttpResponse::Ok().json(found),
        Err(error) => {
            tracing::warn!(error = %Causes(&error), "the board could not ask Redis");
            HttpResponse::ServiceUnavailable().body("Redis cannot be asked\n")
        }
    }
}
