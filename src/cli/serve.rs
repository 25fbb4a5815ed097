//! `nachfass run`, `api`, `worker` and `demo`.

use anyhow::Context;

use super::args::{DemoOptions, ServeOptions, WorkerOptions};
use super::{first_admin, output};
use crate::config::Config;
use crate::demo;
use crate::serving::{Parts, Serving};

/// Everything in one process.
pub async fn run(mut config: Config, options: ServeOptions) -> anyhow::Result<()> {
    listen(&mut config, options);
    let serving = Serving::start(config, Parts::all()).await?;
    welcome(&serving).await?;
    serving.until_ended().await
}

/// The API alone.
pub async fn api(mut config: Config, options: ServeOptions) -> anyhow::Result<()> {
    listen(&mut config, options);
    require_services(&config, "api")?;
    let serving = Serving::start(config, Parts { api: true, worker: None }).await?;
    welcome(&serving).await?;
    serving.until_ended().await
}

/// A worker alone.
pub async fn worker(mut config: Config, options: WorkerOptions) -> anyhow::Result<()> {
    require_services(&config, "worker")?;
    if let Some(concurrency) = options.concurrency {
        config.worker.concurrency = concurrency;
    }
    let serving = Serving::start(config, Parts { api: false, worker: Some(options.queues) }).await?;
    serving.until_ended().await
}

/// Everything in one process, with sample data.
pub async fn demo(mut config: Config, options: DemoOptions) -> anyhow::Result<()> {
    listen(&mut config, options.serve);
    config.sources.extend(demo::sources(options.seed));
    let mut serving = Serving::start(config, Parts::all()).await?;
    welcome(&serving).await?;
    let story = crate::demonstration::show(serving.demo_stage(), options.seed, options.fast);
    serving.spawn(async move { story.await.context("while showing the demo") });
    serving.until_ended().await
}

fn listen(config: &mut Config, options: ServeOptions) {
    if let Some(address) = options.listen {
        // The public URL that was not configured follows the address.
        if config.origin("public_url").is_none()
            && let Some((_, port)) = address.rsplit_once(':')
        {
            config.public_url = format!("http://localhost:{port}");
        }
        config.listen = address;
    }
}

fn require_services(config: &Config, command: &str) -> anyhow::Result<()> {
    let url = config.database_url();
    anyhow::ensure!(
        url.expose().starts_with("postgres") && !config.redis_url.is_empty(),
        "nachfass {command} works beside other processes and needs PostgreSQL and Redis: set DATABASE_URL and REDIS_URL, \
         or use nachfass run, which needs neither"
    );
    Ok(())
}

/// Says where to look and, as long as nobody has signed in, how to.
async fn welcome(serving: &Serving) -> anyhow::Result<()> {
    let url = serving.url();
    output::note(format_args!("nachfass {} is at {url}", env!("CARGO_PKG_VERSION")));
    output::note(format_args!("  GraphiQL  {url}/graphiql"));
    output::note(format_args!("  events    {url}/ingest/{{source}}"));
    first_admin::welcome(serving).await
}
