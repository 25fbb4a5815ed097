//! Looking at the schedule: at each tick of each rule, and at the start for what was missed.
//!
//! apalis-cron says when to look; what is due then, and who sees to it, is decided by [`service::schedule`]. So it does not matter
//! that each process ticks for itself, that apalis-cron knows nothing of ticks that it missed, and that it ends with an error when it
//! is asked too late for the next one: it is started again, and the first look finds what there is.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{Monitor, WorkerBuilder};
use apalis_cron::{CronScheduler, Schedule, Tick};
use domain::schedule::Timetable;
use futures::future::join_all;
use service::Services;
use service::error::Causes;
use service::schedule::{Rule, look};
use tokio_util::sync::CancellationToken;

use crate::queue::until_shutdown;

/// The first and the longest wait before apalis-cron is started again after an error.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A look at the start that fails is made again after so long: the database may not be there yet.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Looks at the rules until `shutdown`.
pub async fn run(services: Services, rules: Arc<[Rule]>, shutdown: CancellationToken) {
    let first = at_start(&services, &rules);
    if shutdown.run_until_cancelled(first).await.is_none() {
        return;
    }
    join_all(rules.iter().map(|rule| wake(rule, &services, &rules, &shutdown))).await;
}

async fn at_start(services: &Services, rules: &Arc<[Rule]>) {
    while !look_once(services, rules).await {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether it succeeded.
async fn look_once(services: &Services, rules: &Arc<[Rule]>) -> bool {
    let looked = look(services, rules).await;
    if let Err(error) = &looked {
        tracing::warn!(error = %Causes(error), "the schedule could not be looked at; the next tick sees what is due");
    }
    looked.is_ok()
}

/// Looks at each tick of `rule`, at all of them: a look costs little, and a machine that slept has ticks of others to see to.
async fn wake(rule: &Rule, services: &Services, rules: &Arc<[Rule]>, shutdown: &CancellationToken) {
    let mut wait = FIRST_WAIT;
    while !shutdown.is_cancelled() {
        let started = tokio::time::Instant::now();
        if let Err(error) = until_shutdown("schedule", shutdown.clone(), monitor(rule, services, rules)).await {
            tracing::debug!(rule = rule.name, error = %error, "the clock of a rule is started again");
        }
        wait = if started.elapsed() > LONGEST_WAIT { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
        shutdown.run_until_cancelled(tokio::time::sleep(wait)).await;
        if !shutdown.is_cancelled() {
            look_once(services, rules).await;
        }
    }
}

fn monitor(rule: &Rule, services: &Services, rules: &Arc<[Rule]>) -> Monitor {
    let name = rule.name;
    let ticks = Ticks { timetable: rule.timetable.clone(), services: services.clone() };
    let (services, rules) = (services.clone(), rules.clone());
    Monitor::new().register(move |_restarts| {
        let (services, rules) = (services.clone(), rules.clone());
        WorkerBuilder::new(format!("schedule-{name}")).backend(CronScheduler::new(ticks.clone())).build(
            move |_: Tick| {
                let (services, rules) = (services.clone(), rules.clone());
                async move {
                    look_once(&services, &rules).await;
                    Ok::<_, std::convert::Infallible>(())
                }
            },
        )
    })
}

/// A timetable as apalis-cron asks it, with our own answer for days on which the clock is changed.
#[derive(Clone)]
struct Ticks {
    timetable: Timetable,
    services: Services,
}

impl<Tz> Schedule<Tz> for Ticks {
    fn next_tick(&mut self, _zone: &Tz) -> Option<Tick<Tz>> {
        let next = self.timetable.next(self.services.now())?;
        u64::try_from(next.seconds()).ok().map(Tick::new)
    }
}
