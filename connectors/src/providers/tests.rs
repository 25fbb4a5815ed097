//! What every adapter's tests share: requests from fixture files, and reading them.

mod brevo;
mod generic;
mod mailersend;
mod mailgun;
mod mailjet;
mod mailtrap;
mod mandrill;
mod postal;
mod postmark;
mod resend;
mod scaleway;
mod sendgrid;
mod ses;
mod sparkpost;
mod unisender;

use domain::reading::Reading;
use domain::{Event, Timestamp};

use super::{Request, Webhook};

/// Where the fixtures lie: `fixtures/{provider}/{name}`.
pub fn fixture(path: &str) -> Vec<u8> {
    let path = format!("{}/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The default metadata names for the campaign.
pub fn campaign_keys() -> Vec<String> {
    ["nachfass_campaign", "campaign_id", "campaign"].map(str::to_owned).to_vec()
}

/// The default metadata names for the recipient.
pub fn recipient_keys() -> Vec<String> {
    ["nachfass_recipient", "recipient_id"].map(str::to_owned).to_vec()
}

/// A request under test, owning its parts.
pub struct Sample {
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub urls: Vec<String>,
    pub certificate: Option<Vec<u8>>,
    campaign_keys: Vec<String>,
    recipient_keys: Vec<String>,
}

impl Sample {
    /// A JSON request with this body.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self {
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.into(),
            urls: Vec::new(),
            certificate: None,
            campaign_keys: campaign_keys(),
            recipient_keys: recipient_keys(),
        }
    }

    /// Sets a header; `name` in lower case.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(key, _)| key != name);
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The request as the adapter gets it, received at 2026-01-01T00:00:00Z.
    pub fn request(&self) -> Request<'_> {
        Request {
            headers: &self.headers,
            body: &self.body,
            urls: &self.urls,
            received_at: Timestamp::from_seconds(1_767_225_600),
            campaign_keys: &self.campaign_keys,
            recipient_keys: &self.recipient_keys,
            certificate: self.certificate.as_deref(),
        }
    }

    /// What the adapter reads in it.
    pub fn read(&self, webhook: &dyn Webhook) -> Reading {
        webhook.read(&self.request()).expect("a readable request")
    }

    /// The one event in it.
    pub fn event(&self, webhook: &dyn Webhook) -> Event {
        let reading = self.read(webhook);
        assert!(reading.failures.is_empty(), "{:?}", reading.failures);
        let [event] = <[Event; 1]>::try_from(reading.events).expect("exactly one event");
        event
    }
}
