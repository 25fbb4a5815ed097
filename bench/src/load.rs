//! Load: a number of connections, each of which sends its next request when the last one is answered.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::future::try_join_all;

use crate::http::{Connection, Request};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How long it took altogether.
    pub elapsed: Duration,
    /// How long each request took, the fastest first.
    pub latencies: Vec<Duration>,
    /// How often the server asked to come again.
    pub refused: u32,
}

impl Outcome {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        rate(self.latencies.len(), self.elapsed)
    }

    /// The latency that half of the requests stayed below.
    pub fn median(&self) -> Duration {
        self.latencies.get(self.latencies.len() / 2).copied().unwrap_or_default()
    }

    /// The latency that 99 of 100 stayed below.
    pub fn p99(&self) -> Duration {
        self.latencies.get(self.latencies.len() * 99 / 100).copied().unwrap_or_default()
    }
}

/// So many in that time, a second.
pub fn rate(count: usize, elapsed: Duration) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from) / elapsed.as_secs_f64()
}

/// Sends each request once, over so many connections.
pub async fn send_all(address: &str, connections: usize, requests: &[Request]) -> anyhow::Result<Outcome> {
    let next = Cell::new(0);
    let take = || {
        let index = next.get();
        next.set(index + 1);
        requests.get(index)
    };
    run(address, connections, take).await
}

/// Sends the same request again and again for a while.
pub async fn repeat(address: &str, connections: usize, time: Duration, request: &Request) -> anyhow::Result<Outcome> {
    let until = Instant::now() + time;
    run(address, connections, || (Instant::now() < until).then_some(request)).await
}

async fn run<'a>(address: &str, connections: usize, next: impl Fn() -> Option<&'a Request>) -> anyhow::Result<Outcome> {
    let opened = try_join_all((0..connections).map(|_| Connection::open(address))).await?;
    let start = Instant::now();
    let clients = opened.into_iter().map(|connection| client(connection, &next));
    let results = try_join_all(clients).await?;
    let elapsed = start.elapsed();
    let refused = results.iter().map(|(_, refused)| refused).sum();
    let mut latencies: Vec<Duration> = results.into_iter().flat_map(|(latencies, _)| latencies).collect();
    latencies.sort_unstable();
    Ok(Outcome { elapsed, latencies, refused })
}

async fn client<'a>(
    mut connection: Connection,
    next: &impl Fn() -> Option<&'a Request>,
) -> anyhow::Result<(Vec<Duration>, u32)> {
    let mut latencies = Vec::new();
    let mut refused = 0;
    while let Some(request) = next() {
        let start = Instant::now();
        loop {
            let answer = connection.send(request).await?;
            if answer.status == 503 {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            let text = String::from_utf8_lossy(&answer.body);
            ensure!(answer.status == 200, "the server answers {}: {text}", answer.status);
            ensure!(!text.starts_with("{\"errors\"") && !text.contains("\"errors\":["), "GraphQL: {text}");
            break;
        }
        latencies.push(start.elapsed());
    }
    Ok((latencies, refused))
}
