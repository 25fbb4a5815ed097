//! Putting an event together: what every adapter would otherwise do again.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::machine;
use domain::smtp::{self, EnhancedCode, Reply};
use domain::{BounceClass, Event, EventKind, Provider, Timestamp};
use sha2::{Digest, Sha256};

use super::signature::hex;
use super::{Request, bounds, json};

/// What an adapter found in an element; [`EventBuilder::build`] completes it by the rules that all providers share.
#[derive(Clone, Debug)]
pub struct EventBuilder {
    /// Who reports.
    pub provider: Provider,
    /// The provider's own name of the event: part of the key where the provider has no id.
    pub reported: String,
    /// What it means.
    pub kind: EventKind,
    /// The provider's id of the event, where it has one; several recipients of one notification need the recipient in it.
    pub event_id: Option<String>,
    /// The provider's id of the message, with or without angle brackets.
    pub message_id: Option<String>,
    /// The recipient, as an address or as `Name <address>`.
    pub recipient: Option<String>,
    /// When it happened; the time of receipt where the provider does not say.
    pub occurred_at: Option<Timestamp>,
    /// Why it was not delivered, as the provider puts it.
    pub bounce_class: Option<BounceClass>,
    /// The SMTP reply code, where it has a field of its own.
    pub smtp_code: Option<u16>,
    /// The enhanced status code, where it has a field of its own.
    pub enhanced_code: Option<EnhancedCode>,
    /// The server's or the provider's words.
    pub diagnostic: Option<String>,
    /// The link that was followed.
    pub url: Option<String>,
    /// The provider's word on machines: `Some(true)` a machine, `Some(false)` a person.
    pub machine_flag: Option<bool>,
    /// The user agent, for the verdict only: it is not kept.
    pub user_agent: Option<String>,
    /// The provider's own field for the campaign.
    pub campaign: Option<String>,
    /// The tags.
    pub tags: Arc<[String]>,
    /// The metadata.
    pub metadata: Arc<BTreeMap<String, String>>,
}

impl EventBuilder {
    /// An event of which only the kind is known yet.
    #[must_use]
    pub fn new(provider: Provider, reported: &str, kind: EventKind) -> Self {
        Self {
            provider,
            reported: reported.to_owned(),
            kind,
            event_id: None,
            message_id: None,
            recipient: None,
            occurred_at: None,
            bounce_class: None,
            smtp_code: None,
            enhanced_code: None,
            diagnostic: None,
            url: None,
            machine_flag: None,
            user_agent: None,
            campaign: None,
            tags: Arc::default(),
            metadata: Arc::default(),
        }
    }

    /// The event: ids normalised, overlong texts cut, kind and class checked against the SMTP status, campaign and recipient id looked up in the
    /// metadata, and a key made where the provider has none.
    #[must_use]
    pub fn build(self, request: &Request<'_>) -> Event {
        let failure = self.kind.is_failure() || self.kind == EventKind::AutoReply;
        let reply = Reply::complete(self.smtp_code, self.enhanced_code, self.diagnostic.as_deref());
        let (kind, bounce_class) = smtp::reconcile(self.kind, self.bounce_class, reply);
        let message_id = self.message_id.as_deref().and_then(json::bare_message_id);
        let recipient = self.recipient.as_deref().and_then(json::bare_address);
        let engaged = matches!(kind, EventKind::Opened | EventKind::Clicked);
        let verdict = engaged.then(|| machine::verdict(self.machine_flag, self.user_agent.as_deref())).flatten();
        let named = |keys: &[String]| {
            let value = |key: &String| self.metadata.get(key).map(|value| bounds::beginning(value));
            keys.iter().filter_map(value).find(|value| !value.trim().is_empty()).map(str::to_owned)
        };
        let campaign = named(request.campaign_keys).or_else(|| self.campaign.clone().map(bounds::cut));
        let key = KeyParts {
            provider: self.provider,
            reported: &self.reported,
            message_id: message_id.as_deref(),
            recipient: recipient.as_deref(),
            occurred_at: self.occurred_at,
            url: self.url.as_deref(),
        };
        Event {
            provider: self.provider,
            event_id: self.event_id.filter(|id| !id.is_empty()).unwrap_or_else(|| key.hash()),
            kind,
            campaign,
            recipient_ref: named(request.recipient_keys),
            occurred_at: self.occurred_at.unwrap_or(request.received_at),
            bounce_class,
            smtp_code: reply.code,
            enhanced_code: reply.enhanced,
            diagnostic: self.diagnostic.filter(|_| failure || reply.code.is_some()).map(bounds::cut),
            url: self.url.filter(|_| kind == EventKind::Clicked).map(bounds::cut),
            verdict,
            tags: self.tags,
            metadata: self.metadata,
            message_id: message_id.map(bounds::cut),
            recipient: recipient.map(bounds::cut),
        }
    }
}

/// What identifies an event of a provider that gives it no id.
struct KeyParts<'a> {
    provider: Provider,
    reported: &'a str,
    message_id: Option<&'a str>,
    recipient: Option<&'a str>,
    occurred_at: Option<Timestamp>,
    url: Option<&'a str>,
}

impl KeyParts<'_> {
    /// The key: stable over retries, because it holds nothing of the request but what the provider says of the event.
    fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        let time = self.occurred_at.map(|time| time.micros().to_string());
        let recipient = self.recipient.map(str::to_lowercase);
        let parts = [
            Some(self.provider.name()),
            Some(self.reported),
            self.message_id,
            recipient.as_deref(),
            time.as_deref(),
            self.url,
        ];
        for part in parts {
            hasher.update(part.unwrap_or_default().as_bytes());
            hasher.update([0]);
        }
        let digest = hasher.finalize();
        format!("h-{}", hex(digest.get(..16).unwrap_or_default()))
    }
}
