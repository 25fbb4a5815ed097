use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use connectors::http::{Fetch, FetchError};
use connectors::sources::{Post, Received, Sources};
use domain::{SystemClock, Timestamp};
use futures::future::BoxFuture;

use super::*;
use crate::demo::sources;

/// Nothing has to be fetched.
struct NoFetch;

impl Fetch for NoFetch {
    fn get<'a>(&'a self, _url: &'a str) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        Box::pin(async { Err(FetchError::Unavailable("there is nothing outside".into())) })
    }
}

/// A receiver that checks what comes as nachfass does, and turns every `busy`-th request away.
struct Receiver {
    sources: Sources,
    seen: AtomicUsize,
    accepted: AtomicUsize,
    busy: usize,
}

async fn ingest(
    receiver: web::Data<Receiver>,
    name: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let seen = receiver.seen.fetch_add(1, Ordering::SeqCst) + 1;
    if seen.is_multiple_of(receiver.busy) {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let header = |(name, value): (&actix_web::http::header::HeaderName, &actix_web::http::header::HeaderValue)| {
        (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())
    };
    let headers: Vec<_> = request.headers().iter().map(header).collect();
    let post = Post { headers, body: body.to_vec(), hold: Box::new(()) };
    match receiver.sources.receive(&name, post).await {
        Ok(Received::Events { unreadable: None, .. }) => {
            receiver.accepted.fetch_add(1, Ordering::SeqCst);
            HttpResponse::Ok().finish()
        }
        Ok(_) => HttpResponse::Unauthorized().body("no readable events"),
        Err(denied) => HttpResponse::Unauthorized().body(denied.to_string()),
    }
}

/// Starts a receiver of the demo with this seed; it ends with the test.
fn receive(seed: u64, busy: usize) -> (String, web::Data<Receiver>) {
    let sources = Sources::new(sources(seed), "http://localhost", Arc::new(NoFetch), Arc::new(SystemClock));
    let receiver = Receiver { sources, seen: AtomicUsize::new(0), accepted: AtomicUsize::new(0), busy };
    let receiver = web::Data::new(receiver);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let data = receiver.clone();
    let app = move || {
        let limit = web::PayloadConfig::new(10 << 20);
        App::new().app_data(data.clone()).app_data(limit).route("/ingest/{name}", web::post().to(ingest))
    };
    let server = HttpServer::new(app).workers(1).listen(listener).expect("it listens").run();
    std::thread::spawn(move || actix_web::rt::System::new().block_on(server));
    (url, receiver)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_posted_is_accepted_and_tried_again_where_it_was_not() {
    let (url, receiver) = receive(4, 10);
    let cancelled = CancellationToken::new();
    let demo = Demo { seed: 4, speed: Speed::Unlimited };
    let mut hours = 0;
    let progress = |progress: &Progress| {
        hours = progress.hour;
        if progress.totals.requests == 400 {
            cancelled.cancel();
        }
    };
    let totals = post(&url, demo, &SystemClock, progress, &cancelled).await.expect("everything is accepted");
    assert!(totals.is_cancelled);
    assert_eq!(totals.requests, 400);
    assert!(totals.events > 400 && totals.retries > 10, "{totals:?}");
    assert!(receiver.accepted.load(Ordering::SeqCst) >= 400);
    assert!(hours < 72);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_seeds_signatures_are_refused() {
    let (url, _) = receive(5, usize::MAX);
    let demo = Demo { seed: 6, speed: Speed::Unlimited };
    let error = post(&url, demo, &SystemClock, |_| {}, &CancellationToken::new()).await.expect_err("the keys differ");
    assert!(matches!(error, DemoError::Refused { status: 401, .. }), "{error}");
}

#[test]
fn the_pace_spreads_the_hours() {
    let pace = Pace { begun: Instant::now(), speed: Speed::Within(Duration::from_secs(72)) };
    let seconds = |hours| pace.due(hours * HOUR).map(|due| due.duration_since(pace.begun).as_secs());
    assert_eq!([0, 36, 72, 80].map(seconds), [0, 36, 72, 72].map(Some));
    assert_eq!(Pace { speed: Speed::Unlimited, ..pace }.due(HOUR), None);
}

#[test]
fn a_demo_lies_in_the_past() {
    for now in ["2026-03-01T06:59:59Z", "2026-03-01T07:00:00Z", "2026-03-01T23:10:00Z"] {
        let now: Timestamp = now.parse().expect(now);
        let begun = beginning(now);
        assert!((END * 1_000..(END + 24 * HOUR) * 1_000).contains(&now.since(begun)), "{begun}");
        assert!(begun.to_string().ends_with("T07:00:00Z"), "{begun}");
    }
}
