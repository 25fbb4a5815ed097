//! Telling somebody about alerts: by a webhook, by mail, or both.

mod mail;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use domain::notify::{AlertNotice, AlertNotifier, Channel, NotifyError};
use futures::future::BoxFuture;

pub use mail::{Mail, MailSettings, MailSettingsError};
pub use webhook::{Webhook, WebhookSettings};

/// How long a channel may take. Whoever is told has only to note it.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What is configured.
#[derive(Clone, Default)]
pub struct NotifierSettings {
    /// Where to post, if anywhere.
    pub webhook: Option<WebhookSettings>,
    /// Whom to write to, if anybody.
    pub mail: Option<MailSettings>,
    /// How people reach nachfass.
    pub public_url: String,
}

/// Why the configured channels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    /// The HTTP client could not be made.
    #[error("the HTTP client for alerts could not be made")]
    Http(#[from] reqwest::Error),
    /// What is configured for mails cannot be used.
    #[error(transparent)]
    Mail(#[from] MailSettingsError),
}

/// Tells by the channels that are configured.
pub struct Notifier {
    webhook: Option<Webhook>,
    mail: Option<Mail>,
    channels: Vec<Channel>,
}

impl Notifier {
    /// Over these settings.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub fn new(settings: NotifierSettings, clock: Arc<dyn Clock>) -> Result<Self, NotifierError> {
        Self::with_timeout(settings, clock, TIMEOUT)
    }

    fn with_timeout(
        settings: NotifierSettings,
        clock: Arc<dyn Clock>,
        timeout: Duration,
    ) -> Result<Self, NotifierError> {
        let NotifierSettings { webhook, mail, public_url } = settings;
        let webhook = webhook.map(|settings| Webhook::new(settings, &public_url, clock, timeout)).transpose()?;
        let mail = mail.map(|settings| Mail::new(&settings, &public_url, timeout)).transpose()?;
        let channels = [webhook.as_ref().map(|_| Channel::Webhook), mail.as_ref().map(|_| Channel::Mail)];
        Ok(Self { webhook, mail, channels: channels.into_iter().flatten().collect() })
    }
}

impl AlertNotifier for Notifier {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn notify<'a>(&'a self, channel: Channel, notice: &'a AlertNotice) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            match (channel, &self.webhook, &self.mail) {
                (Channel::Webhook, Some(webhook), _) => webhook.post(notice).await,
                (Channel::Mail, _, Some(mail)) => mail.send(notice).await,
                (other, ..) => {
                    // The job was made when it was.
                    Err(NotifyError::Refused(format!("no {} is configured for alerts any more", other.as_str())))
                }
            }
        })
    }
}
