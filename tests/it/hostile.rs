//! Hostile input against the real program: it goes on serving others, its memory stays bounded, and it says why it refuses.

mod accounts;
mod connections;
mod files;
mod graphql;
mod ingest;
mod supply;

use std::io::Write;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::harness::{Api, Process, Running, other_program};

/// As much memory as a process may take while it is attacked, in bytes.
pub(crate) const MOST_MEMORY: u64 = 400_000_000;

/// As long as others may have to wait while the program is attacked. Where a release build is attacked (`make attack`), the tests run
/// one after the other; otherwise they run side by side on few cores, in a build without optimisation.
pub(crate) fn patience() -> Duration {
    if other_program().is_some() { Duration::from_secs(1) } else { Duration::from_secs(10) }
}

/// Other clients, who ask for `/healthz` and a simple query again and again while the program is attacked.
pub(crate) struct Others {
    stop: oneshot::Sender<()>,
    /// The longest waits for `/healthz`, and for any answer.
    watcher: JoinHandle<(Duration, Duration)>,
}

impl Others {
    /// They begin, with the rights of this client: not the one who attacks.
    pub(crate) fn begin(api: &Api) -> Self {
        let (stop, mut stopped) = oneshot::channel::<()>();
        let api = api.clone();
        let watcher = tokio::spawn(async move {
            let (mut health, mut longest) = (Duration::ZERO, Duration::ZERO);
            loop {
                let began = Instant::now();
                assert_eq!(api.bare(Method::GET, "/healthz").send().await.expect("an answer").status(), StatusCode::OK);
                health = health.max(began.elapsed());
                let began = Instant::now();
                let answer = api.ask("{ viewer { name } }", json!({})).await;
                assert!(answer["viewer"]["name"].is_string(), "{answer}");
                longest = longest.max(began.elapsed()).max(health);
                tokio::select! {
                    _ = &mut stopped => return (health, longest),
                    () = tokio::time::sleep(Duration::from_millis(20)) => {}
                }
            }
        });
        Self { stop, watcher }
    }

    /// The attack is over: fails where one of them was not served in time, or a process has died or taken much memory.
    pub(crate) async fn assert_served(self, running: &mut Running<'_>) {
        self.assert_alive_within(patience(), running).await;
    }

    /// The same, with less patience for `/healthz`.
    pub(crate) async fn assert_alive_within(self, most: Duration, running: &mut Running<'_>) {
        self.stop.send(()).expect("they still ask");
        let (health, longest) = self.watcher.await.expect("they were served");
        assert!(health < most.min(patience()), "others waited {health:?} for /healthz");
        assert!(longest < patience(), "others waited {longest:?}");
        let mut peaks = String::new();
        for (name, process) in running.processes() {
            process.check();
            let peak = peak_memory(process);
            assert!(peak < MOST_MEMORY, "{name} took {} MB", peak / 1_000_000);
            peaks += &format!(" {name} {} MB", peak / 1_000_000);
        }
        // For those who ask to see it, by --success-output.
        writeln!(std::io::stderr(), "others waited at most {longest:?}; memory:{peaks}").expect("written");
    }
}

/// The most memory that a process has used so far, in bytes (`VmHWM`); Linux only.
pub(crate) fn peak_memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}
