//! Where persons are kept, and how a CRM that is connected is reached.

use std::num::NonZeroU16;
use std::time::Duration;

use connectors::crm::superoffice::{Credentials, Settings};
use serde::Deserialize;
use url::Url;

use super::{Config, Secret};

/// The `[crm]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrmConfig {
    /// Which one.
    pub kind: CrmKind,
    /// How often it is read: `15m`. [`CrmConfig::sync_every`] is the time itself.
    pub sync_every: String,
    /// How SuperOffice is reached.
    pub superoffice: SuperOfficeConfig,
}

/// Which CRM persons are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CrmKind {
    /// Our own tables.
    Builtin,
    /// SuperOffice.
    Superoffice,
}

/// The `[crm.superoffice]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuperOfficeConfig {
    /// Where tenant and tokens are asked for.
    pub login_url: String,
    /// The tenant: `Cust12345`.
    pub tenant: String,
    /// The id of the application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// As whom requests are made.
    pub auth: SuperOfficeAuth,
    /// The token of the user who consented.
    pub refresh_token: Secret,
    /// The token of the application's own user.
    pub system_user_token: Secret,
    /// The application's RSA key, as PEM.
    pub private_key: Secret,
    /// What webhooks are signed with; empty for none.
    pub webhook_secret: Secret,
    /// The language of translated names.
    pub language: String,
    /// As many requests a second at most, from each process.
    pub requests_per_second: NonZeroU16,
    /// Hosts besides the vendor's.
    pub allow_hosts: Vec<String>,
}

/// As whom requests to SuperOffice are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuperOfficeAuth {
    /// As the user who consented.
    RefreshToken,
    /// As the application's own user.
    SystemUser,
}

impl CrmConfig {
    /// How often the CRM is read where what is configured is no time.
    const USUALLY: Duration = Duration::from_secs(900);

    /// How often the CRM is read.
    #[must_use]
    pub fn sync_every(&self) -> Duration {
        humantime::parse_duration(&self.sync_every).unwrap_or(Self::USUALLY)
    }
}

impl SuperOfficeConfig {
    /// What the connector needs to know.
    pub(super) fn settings(&self, login_url: Url) -> Settings {
        let text = |secret: &Secret| secret.expose().to_owned();
        let credentials = match self.auth {
            SuperOfficeAuth::RefreshToken => Credentials::RefreshToken(text(&self.refresh_token)),
            SuperOfficeAuth::SystemUser => {
                Credentials::SystemUser { token: text(&self.system_user_token), private_key: text(&self.private_key) }
            }
        };
        Settings {
            login_url,
            tenant: self.tenant.clone(),
            client_id: self.client_id.clone(),
            client_secret: text(&self.client_secret),
            credentials,
            requests_per_second: self.requests_per_second,
            allow_hosts: self.allow_hosts.clone(),
            webhook_secret: Some(text(&self.webhook_secret)).filter(|secret| !secret.is_empty()),
            language: self.language.clone(),
            timeout: Settings::TIMEOUT,
        }
    }
}

impl Config {
    /// How SuperOffice is reached; `None` where persons are kept in our own tables, or its URL was found wrong.
    #[must_use]
    pub fn crm(&self) -> Option<Settings> {
        match self.crm.kind {
            CrmKind::Builtin => None,
            CrmKind::Superoffice => {
                let superoffice = &self.crm.superoffice;
                Url::parse(&superoffice.login_url).ok().map(|url| superoffice.settings(url))
            }
        }
    }
}
