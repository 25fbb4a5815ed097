//! The parts that run: API, worker, and what ties them together.

mod board;
mod descriptors;
mod door;
mod probe;

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Context;
use api::{ApiOptions, AppState, GraphqlThreads};
use connectors::http::HttpsFetch;
use connectors::mx::Exchanges;
use connectors::notify::Notifier;
use connectors::sources::Sources;
use service::accounts::FirstAdmin;
use service::apply::Applier;
use service::changes::Changes;
use service::ingest::Inbox;
use service::jobs::Queue;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker::queue::Queues;
use worker::{Deps, Relay, Wake, WorkerOptions};

use crate::config::Config;
use crate::installation::Installation;
use door::Door;
use probe::InstallationProbe;

/// Which parts run in this process.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The API.
    pub api: bool,
    /// A worker on these queues.
    pub worker: Option<Vec<Queue>>,
}

impl Parts {
    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self { api: true, worker: Some(Queue::ALL.to_vec()) }
    }
}

/// The parts, running.
pub struct Serving {
    installation: Installation,
    queues: Queues,
    tasks: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
}

/// What the demo needs of the process that it runs in.
pub struct Stage {
    /// The use cases.
    pub services: service::Services,
    /// Where the API answers on this machine.
    pub url: String,
    /// When to stop.
    pub shutdown: CancellationToken,
}

impl Serving {
    /// Opens the installation and starts the parts.
    ///
    /// # Errors
    /// Where the installation cannot be opened or the address cannot be listened on.
    pub async fn start(config: Config, parts: Parts) -> anyhow::Result<Self> {
        let installation = Installation::open(config).await?;
        let queues = if installation.config.redis_url.is_empty() {
            Queues::memory()
        } else {
            Queues::redis(installation.config.redis_url.expose()).context("while reading redis_url")?
        };
        let mut serving = Self { installation, queues, tasks: JoinSet::new(), shutdown: CancellationToken::new() };
        serving.spawn_parts(&parts)?;
        Ok(serving)
    }

    fn spawn_parts(&mut self, parts: &Parts) -> anyhow::Result<()> {
        let Installation { config, db, services, clock } = self.installation.clone();
        let fetch = Arc::new(HttpsFetch::try_new().context("while preparing to fetch certificates")?);
        let sources = Arc::new(Sources::new(config.sources.clone(), &config.public_url, fetch, clock.clone()));
        let (made, shown, wake) = (services.changes().clone(), Changes::default(), Wake::default());
        let applier = Applier::new(db.clone(), clock.clone(), sources.clone(), made.clone());
        // Two transactions at once keep PostgreSQL busy while the other reads; SQLite has one writer.
        let appliers = if db.is_postgres() { 2 } else { 1 };
        let shown = if config.redis_url.is_empty() {
            made
        } else {
            self.tell_changes(config.redis_url.expose(), &made, &shown, parts.api);
            shown
        };
        let mut relay = Relay::new(services.clone(), self.queues.clone(), wake.clone(), appliers);
        if let Some(queues) = &parts.worker {
            let options = WorkerOptions {
                queues: queues.clone(),
                concurrency: usize::from(config.worker.concurrency.get()),
                appliers,
                rules: schedule(&config)?,
            };
            let notifier = Notifier::new(config.notifier(), clock).context("while preparing to tell about alerts")?;
            let mut deps = Deps::new(services, applier).with_notifier(Arc::new(notifier));
            if config.corrections.check_mx {
                deps = with_exchanges(deps);
            }
            let handler = worker::handler(deps.clone(), wake.clone(), self.shutdown.clone());
            relay = relay.with_worker(queues.clone(), handler);
            let (queues, wake, shutdown) = (self.queues.clone(), wake.clone(), self.shutdown.clone());
            self.tasks.spawn(async move {
                worker::run(deps, queues, wake, options, shutdown).await.context("while working on the queues")
            });
        }
        let shutdown = self.shutdown.clone();
        self.spawn(async move {
            relay.run(shutdown).await;
            Ok(())
        });
        if parts.api {
            self.spawn_api(sources, &shown, wake)?;
        }
        // Beside the API, so that of the processes of a machine one has the address.
        if parts.api && !config.board_listen.is_empty() {
            self.spawn_board()?;
        }
        Ok(())
    }

    fn spawn_board(&mut self) -> anyhow::Result<()> {
        let Installation { config, services, .. } = self.installation.clone();
        let address = &config.board_listen;
        let listener = TcpListener::bind(address).with_context(|| format!("while listening on {address}"))?;
        listener.set_nonblocking(true).context("while listening")?;
        let doorkeeper = board::doorkeeper(services, &ApiOptions::new(&config.public_url));
        let (queues, shutdown) = (self.queues.clone(), self.shutdown.clone());
        self.tasks.spawn_blocking(move || {
            let shown = worker::board::serve(listener, queues, doorkeeper, shutdown);
            actix_web::rt::System::new().block_on(shown).context("while showing the board")
        });
        Ok(())
    }

    /// What this process changes is shown here and told to others through Redis; what others change is shown here, too.
    fn tell_changes(&mut self, url: &str, made: &Changes, shown: &Changes, api: bool) {
        let (all, changed, shutdown) = (url.to_owned(), made.clone(), self.shutdown.clone());
        self.spawn(async move {
            worker::changes::publish(all, changed, shutdown).await;
            Ok(())
        });
        if api {
            let (url, shown, shutdown) = (url.to_owned(), shown.clone(), self.shutdown.clone());
            self.spawn(async move {
                worker::changes::listen(url, shown, shutdown).await;
                Ok(())
            });
        }
        // Without Redis, what is changed here must still be seen here.
        let (made, shown, shutdown) = (made.clone(), shown.clone(), self.shutdown.clone());
        self.spawn(async move {
            shutdown.run_until_cancelled(made.forward(&shown)).await;
            Ok(())
        });
    }

    fn spawn_api(&mut self, sources: Arc<Sources>, changes: &Changes, wake: Wake) -> anyhow::Result<()> {
        let Installation { config, db, services, clock } = self.installation.clone();
        let listener =
            TcpListener::bind(&config.listen).with_context(|| format!("while listening on {}", config.listen))?;
        listener.set_nonblocking(true).context("while listening")?;
        let (inbox, writer) = Inbox::new(db.clone(), move || wake.now());
        self.tasks.spawn(async move {
            writer.await;
            Ok(())
        });
        let tally = services.source_tally().clone();
        let door = Arc::new(Door::new(sources, inbox, tally.clone(), clock.clone()));
        let (counted, ended) = (db.clone(), self.shutdown.clone());
        self.tasks.spawn(async move {
            tally.write_every(counted, service::sources::WRITE_EVERY, ended.cancelled()).await;
            Ok(())
        });
        let probe = Arc::new(InstallationProbe::new(db, self.queues.clone()));
        let schema = api::graphql::build_schema(changes);
        let mut options = config.limits.apply(ApiOptions::new(&config.public_url));
        options.allow_origins.clone_from(&config.allow_origins);
        options.max_connections = descriptors::prepare();
        let shutdown = self.shutdown.clone();
        // actix has threads of its own, each with a runtime that nothing else can run on.
        self.tasks.spawn_blocking(move || {
            let served = actix_web::rt::System::new().block_on(async {
                let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                let graphql = GraphqlThreads::start(&services, threads).await?;
                let state = AppState::new(services, (schema, graphql), door, probe, options);
                api::serve(listener, state, shutdown).await
            });
            served.context("while serving the API")
        });
        Ok(())
    }

    /// How it is reached.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.installation.config.public_url
    }

    /// Makes the first admin, where there is nobody.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn first_admin(&self) -> anyhow::Result<Option<FirstAdmin>> {
        let email = Some(self.installation.config.first_admin.as_str()).filter(|email| !email.is_empty());
        Ok(self.installation.services.first_admin(email).await?)
    }

    /// Whether there is anybody who could sign in.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_users(&self) -> anyhow::Result<bool> {
        Ok(self.installation.services.has_users().await?)
    }

    /// Whether anybody has ever signed in.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_signed_in(&self) -> anyhow::Result<bool> {
        Ok(self.installation.services.has_signed_in().await?)
    }

    /// The folder that the processes of the installation share.
    #[must_use]
    pub fn data_dir(&self) -> &std::path::Path {
        &self.installation.config.data_dir
    }

    /// Whether admins need a second factor.
    #[must_use]
    pub const fn requires_totp(&self) -> bool {
        self.installation.config.require_totp_for_admins
    }

    /// Runs something beside the parts; its failure ends them, its end does not.
    pub fn spawn(&mut self, work: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            work.await?;
            shutdown.cancelled().await;
            Ok(())
        });
    }

    /// What the demo needs.
    #[must_use]
    pub fn demo_stage(&self) -> Stage {
        Stage {
            services: self.installation.services.clone(),
            url: format!("http://{}", self.installation.config.listen),
            shutdown: self.shutdown.clone(),
        }
    }

    /// Runs until SIGTERM, SIGINT or the failure of a part, and ends cleanly.
    ///
    /// # Errors
    /// That of the part that failed.
    pub async fn until_ended(mut self) -> anyhow::Result<()> {
        let mut result = tokio::select! {
            result = signal() => result,
            ended = self.tasks.join_next() => flatten(ended),
        };
        self.shutdown.cancel();
        tracing::info!("ending: what is running is finished or handed back");
        let drained = async {
            let mut result = Ok(());
            while let Some(ended) = self.tasks.join_next().await {
                result = result.and(flatten(Some(ended)));
            }
            result
        };
        match tokio::time::timeout(std::time::Duration::from_secs(29), drained).await {
            Ok(drained) => result = result.and(drained),
            Err(_) => tracing::warn!("not everything could be finished in time; it goes on at the next start"),
        }
        result
    }
}

/// With the machine's resolver. A machine without one can do everything else.
fn with_exchanges(deps: Deps) -> Deps {
    match Exchanges::of_machine() {
        Ok(exchanges) => deps.with_exchanges(Arc::new(exchanges)),
        Err(error) => {
            tracing::warn!(%error, "the domain name system cannot be asked: corrections are suggested without it");
            deps
        }
    }
}

/// What is done again and again; at night by the clocks of the configured time zone.
fn schedule(config: &Config) -> anyhow::Result<Arc<[service::schedule::Rule]>> {
    let zone = &config.schedule.time_zone;
    let zone = service::schedule::zone(zone).context("schedule.time_zone is not a time zone")?;
    let mut rules = service::schedule::rules(zone).context("while reading the schedule")?;
    if config.crm().is_some() {
        let minutes = u32::try_from(config.crm.sync_every().as_secs() / 60).unwrap_or(u32::MAX);
        rules.extend(service::schedule::crm_rules(zone, minutes).context("while reading the schedule")?);
    }
    Ok(rules.into())
}

fn flatten(ended: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Result<()> {
    match ended {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(anyhow::Error::new(error).context("a part of the program panicked")),
        None => Ok(()),
    }
}

async fn signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("while preparing for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("while waiting for Ctrl-C")?,
    }
    Ok(())
}
