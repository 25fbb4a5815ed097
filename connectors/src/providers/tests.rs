//! What every adapter's tests share: requests from fixture files, and reading them.

mod bounds;
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
mod sns;
mod sparkpost;
mod unisender;

use domain::reading::{ReadError, Reading};
use domain::{Event, Timestamp};
use serde_json::Value;

use super::{Rejection, Request, Webhook};

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

    /// Whether the adapter believes it at 2026-01-01T00:00:00Z.
    pub fn verify(&self, webhook: &dyn Webhook, secrets: &[&str]) -> Result<(), Rejection> {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        webhook.verify(&self.request(), &secrets, Timestamp::from_seconds(1_767_225_600))
    }

    /// Why the adapter cannot read it.
    pub fn read_error(&self, webhook: &dyn Webhook) -> ReadError {
        webhook.read(&self.request()).expect_err("an unreadable request")
    }
}

/// Compares an event with the fields expected in its line of `ingest parse`. Fields that are not expected must be empty,
/// except for `provider` and a key that was made for want of an id of the provider's.
pub fn assert_line(event: &Event, expected: &Value, case: &str) {
    let Value::Object(line) = serde_json::to_value(event).expect("an event is JSON") else { panic!("no object") };
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    let made = |name: &str| name == "provider" || name == "event_id" && event.event_id.starts_with("h-");
    for name in expected.as_object().expect("an object").keys() {
        assert!(line.contains_key(name), "{case}: a line has no {name}");
    }
    for (name, value) in &line {
        match expected.get(name) {
            Some(wanted) => assert_eq!(value, wanted, "{case}: {name}"),
            None => assert!(made(name) || empty(value), "{case}: {name} is {value}"),
        }
    }
}

/// `base` with the fields of `more` added and replaced: what a case expects beyond the others.
pub fn with(base: &Value, more: &Value) -> Value {
    let mut merged = base.as_object().expect("an object").clone();
    merged.extend(more.as_object().expect("an object").clone());
    Value::Object(merged)
}

/// Reads each fixture `{provider}/{name}.json` as the one event of a request, and compares it.
pub fn assert_fixtures(webhook: &dyn Webhook, provider: &str, base: &Value, cases: &[(&str, Value)]) {
    for (name, more) in cases {
        let event = Sample::json(fixture(&format!("{provider}/{name}.json"))).event(webhook);
        assert_line(&event, &with(base, more), name);
    }
}

/// The name of a case, the request, the configured secrets, and what is to come of it.
pub type Verdict<'a> = (&'a str, Sample, &'a [&'a str], Result<(), Rejection>);

/// Checks what the adapter says of each request.
pub fn assert_verdicts(webhook: &dyn Webhook, cases: &[Verdict<'_>]) {
    for (case, sample, secrets, expected) in cases {
        assert_eq!(&sample.verify(webhook, secrets), expected, "{case}");
    }
}

/// Bodies that no provider sends, none of which may be taken for one of its own.
pub fn assert_foreign(webhook: &dyn Webhook, bodies: &[&str]) {
    for body in bodies {
        let error = Sample::json(*body).read_error(webhook);
        assert!(matches!(error, ReadError::NotThisProvider { .. }), "{body}: {error}");
    }
}
