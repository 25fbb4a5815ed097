//! What an installation is told: defaults, then a file, then the environment.
//!
//! [`Config::load`] refuses what cannot be understood (an unknown key, a number where a text belongs);
//! [`Config::check`] judges what was understood and lists everything that will not work, with what to do. Neither ever
//! shows a value that may be secret. The defaults are a commented file, compiled in, so that their description cannot
//! go stale.

mod alerts;
mod check;
mod crm;
mod error;
mod examine;
mod layers;
mod limits;
mod secret;
mod storage;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::{Path, PathBuf};

use connectors::sources::SourceSettings;
use serde::{Deserialize, Serialize};
use service::accounts::SignInOptions;
use service::prune::Retention;
use service::sources::ConfiguredSource;

pub use alerts::AlertsConfig;
pub use check::{Finding, Severity};
pub use crm::{CrmConfig, CrmKind, SuperOfficeAuth, SuperOfficeConfig};
pub use error::ConfigError;
pub use examine::Examined;
pub use limits::LimitsConfig;
pub use secret::{Secret, SecretKey, SecretKeyError};
pub use storage::{ExportsConfig, StorageConfig, UploadsConfig};

/// The defaults with their description, as `nachfass config default` prints them.
pub const DEFAULT: &str = include_str!("config.default.toml");

/// The file that is read from the working folder where no other is named.
pub const FILE_NAME: &str = "nachfass.toml";

/// The configuration of one process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the API and the web page answer, as an IP address and a port.
    pub listen: String,
    /// How browsers and providers reach them; without a slash at its end.
    pub public_url: String,
    /// Other origins whose pages may call the API with a token.
    pub allow_origins: Vec<String>,
    /// The folder of the SQLite file, exports and the secret key.
    pub data_dir: PathBuf,
    /// PostgreSQL or SQLite as configured; empty for SQLite in `data_dir`. Connect to [`Config::database_url`].
    pub database_url: Secret,
    /// The connections that each process keeps to PostgreSQL at most.
    pub database_max_connections: NonZeroU32,
    /// Redis; empty for a queue in memory.
    pub redis_url: Secret,
    /// 32 bytes as base64; empty for a key kept in `data_dir`. [`Config::secret_key`] is the key itself.
    pub secret_key: Secret,
    /// Where apalis's board answers; empty for nowhere.
    pub board_listen: String,
    /// The address of the first admin; empty for one that nobody can guess.
    pub first_admin: String,
    /// For how many hours a session may be idle; 0: as long as it lasts.
    pub session_idle_hours: u32,
    /// Whether admins without a second factor are kept out.
    pub require_totp_for_admins: bool,
    /// What is logged: a level, or directives for single modules.
    pub log: String,
    /// How a line of the log looks.
    pub log_format: LogFormat,
    /// What one client may take.
    pub limits: LimitsConfig,
    /// The part that runs jobs.
    pub worker: WorkerConfig,
    /// Who is told about alerts.
    pub alerts: AlertsConfig,
    /// Where persons are kept. [`Config::crm`] is how a connected one is reached.
    pub crm: CrmConfig,
    /// Where exported files are kept.
    pub storage: StorageConfig,
    /// How exported files are given out.
    pub exports: ExportsConfig,
    /// How much may be uploaded and imported.
    pub uploads: UploadsConfig,
    /// What is done again and again.
    pub schedule: ScheduleConfig,
    /// How corrections of addresses are looked for.
    pub corrections: CorrectionsConfig,
    /// For how many days things are kept.
    pub retention: Retention,
    /// Who may post events to `/ingest/{name}`.
    #[serde(default)]
    pub sources: Vec<SourceSettings>,
    /// Where each key was set that is not a default.
    #[serde(skip)]
    origins: BTreeMap<String, String>,
}

/// The `[worker]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerConfig {
    /// The jobs that one process runs at the same time, in each queue.
    pub concurrency: NonZeroU16,
    /// For how many seconds a job is its worker's before that has to say again that it is still at it.
    pub lease_seconds: NonZeroU16,
}

/// The `[schedule]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The time zone of the nights in which long work is done, by its IANA name.
    pub time_zone: String,
}

/// The `[corrections]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionsConfig {
    /// Whether the domain name system is asked which domains take mail.
    pub check_mx: bool,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For reading.
    Text,
    /// For machines: one object a line.
    Json,
}

impl Config {
    /// Reads the configuration: the defaults, then `path` or else [`FILE_NAME`] in the working folder where there is
    /// one, then the environment.
    ///
    /// # Errors
    /// A file that cannot be read or is not TOML, a key that does not exist, a value of the wrong kind.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let file = match path {
            Some(path) => Some(path),
            None => Some(Path::new(FILE_NAME)).filter(|path| path.exists()),
        };
        Self::load_from(file, std::env::vars_os())
    }

    /// The same with an environment of the caller's choice; without `file` only defaults and environment count.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_from(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        Self::of_layers(&layers::read(file, environment)?)
    }

    fn of_layers(layers: &[layers::Layer]) -> Result<Self, ConfigError> {
        let figment = layers::stack(layers);
        let mut config: Self = figment.extract().map_err(ConfigError::of_figment)?;
        config.public_url.truncate(config.public_url.trim_end_matches('/').len());
        config.origins = layers::origins(&figment);
        Ok(config)
    }

    /// The SQLite file in `data_dir`.
    pub const SQLITE_FILE: &str = "nachfass.sqlite";

    /// The database to connect to: the configured one, or the SQLite file in `data_dir`.
    #[must_use]
    pub fn database_url(&self) -> Secret {
        if !self.database_url.is_empty() {
            return self.database_url.clone();
        }
        let file = self.data_dir.join(Self::SQLITE_FILE).to_string_lossy().into_owned();
        // The three characters that mean something else in a URL's path.
        let file = file.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        Secret::from(format!("sqlite://{file}?mode=rwc"))
    }

    /// The key that signs and encrypts: the configured one, or the one kept in `data_dir`, made where there is none.
    ///
    /// # Errors
    /// A key that is not 32 bytes as base64, or a `data_dir` that cannot be read or written.
    pub fn secret_key(&self) -> Result<SecretKey, SecretKeyError> {
        if self.secret_key.is_empty() {
            SecretKey::load_or_create(&self.data_dir)
        } else {
            SecretKey::decode(self.secret_key.expose()).ok_or(SecretKeyError::Configured)
        }
    }

    /// How people sign in.
    #[must_use]
    pub fn sign_in_options(&self) -> SignInOptions {
        SignInOptions {
            idle_seconds: i64::from(self.session_idle_hours).saturating_mul(3_600),
            require_totp_for_admins: self.require_totp_for_admins,
        }
    }

    /// The sources, and where their providers post to.
    #[must_use]
    pub fn configured_sources(&self) -> Vec<ConfiguredSource> {
        let described = |source: &SourceSettings| ConfiguredSource {
            name: source.name.clone(),
            provider: source.provider,
            url: format!("{}/ingest/{}", self.public_url, source.name),
        };
        self.sources.iter().map(described).collect()
    }

    /// Where `key` was set (`nachfass.toml`, an environment variable); `None` for a default.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&str> {
        self.origins.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
