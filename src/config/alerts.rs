//! Who is told when something is wrong with a campaign.

use connectors::notify::{MailSettings, NotifierSettings, WebhookSettings};
use serde::Deserialize;
use url::Url;

use super::{Config, Secret};

/// The `[alerts]` table. A channel of which nothing is set is off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertsConfig {
    /// Where alerts are posted. It may hold a token.
    pub webhook_url: Secret,
    /// With what those requests are signed.
    pub webhook_secret: Secret,
    /// Whom mails about alerts go to.
    pub mail_to: Vec<String>,
    /// Whom they are from.
    pub mail_from: String,
    /// The mail server, with user and password.
    pub smtp_url: Secret,
}

impl AlertsConfig {
    /// What the sender of mails needs to know.
    pub(super) fn mail(&self, smtp_url: Url) -> MailSettings {
        MailSettings { smtp_url, from: self.mail_from.clone(), to: self.mail_to.clone() }
    }
}

impl Config {
    /// The channels by which somebody is told about alerts: those that are configured and were not found wrong.
    #[must_use]
    pub fn notifier(&self) -> NotifierSettings {
        let alerts = &self.alerts;
        let secret = alerts.webhook_secret.expose().to_owned();
        let webhook = Url::parse(alerts.webhook_url.expose()).ok().map(|url| WebhookSettings { url, secret });
        let smtp_url = Url::parse(alerts.smtp_url.expose()).ok().filter(|_| !alerts.mail_to.is_empty());
        NotifierSettings { webhook, mail: smtp_url.map(|url| alerts.mail(url)), public_url: self.public_url.clone() }
    }
}
