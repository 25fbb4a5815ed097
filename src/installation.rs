//! What all commands share: the database, the key and the use cases of one installation.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use anyhow::Context;
use connectors::crm::superoffice::SuperOffice;
use connectors::tables::Formats;
use domain::{Clock, SystemClock};
use service::exports::ExportOptions;
use service::{Access, Db, DbOptions, Services, Subject};

use crate::config::Config;
use crate::private;

/// An installation, opened; cheap to clone.
#[derive(Clone)]
pub struct Installation {
    /// What it was told.
    pub config: Config,
    /// Its database.
    pub db: Db,
    /// Its use cases.
    pub services: Services,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Installation {
    /// Opens the installation and brings its database up to date.
    ///
    /// # Errors
    /// Where the data folder, the key or the database cannot be used.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let this = Self::connect(config).await?;
        migration::bring_up_to_date(this.db.write()).await.context("while bringing the database up to date")?;
        Ok(this)
    }

    /// Opens the installation with its database as it is.
    ///
    /// # Errors
    /// Where the data folder, the key or the database cannot be used.
    pub async fn connect(config: Config) -> anyhow::Result<Self> {
        // Recipients, uploads and the key: for nobody else on the machine.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.data_dir)
            .with_context(|| format!("while making the data folder {}", config.data_dir.display()))?;
        private::tighten(&config);
        let secret = config.secret_key().context("while reading the secret key")?;
        let options = DbOptions {
            url: config.database_url().expose().to_owned(),
            max_connections: config.database_max_connections.get(),
        };
        let db = Db::connect(&options).await.context("while connecting to the database")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let services = Services::new(db.clone(), clock.clone(), secret.expose(), &config.data_dir)
            .with_lease(config.worker.lease_seconds.get().into())
            .with_retention(config.retention)
            .with_sign_in(config.sign_in_options())
            .with_file_limits(config.uploads.limits())
            .with_sources(config.configured_sources());
        // TLS for what goes out: one implementation of cryptography for the whole process.
        rustls::crypto::ring::default_provider().install_default().ok();
        let files = config.storage.open(&config.data_dir).context("while opening the storage for exports")?;
        let options = ExportOptions {
            public_url: config.public_url.clone(),
            url_hours: config.exports.url_hours.get().into(),
            keep_days: config.exports.keep_days.get().into(),
        };
        let mut services = services.with_exports(Arc::new(files), Arc::new(Formats), options);
        if let Some(settings) = config.crm() {
            let tokens = Arc::new(services.clone());
            let crm = SuperOffice::new(settings, clock.clone(), tokens).context("while preparing to ask the CRM")?;
            services = services.with_crm(Arc::new(crm));
        }
        Ok(Self { config, db, services, clock })
    }

    /// What the person at the command line may do.
    #[must_use]
    pub fn access(&self) -> Access {
        self.services.access(Subject::command_line())
    }
}
