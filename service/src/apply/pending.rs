//! An event on its way into the database.

use std::sync::Arc;

use domain::event::BounceClass;
use domain::facts::Report;
use domain::machine::{MachineReason, Verdict};
use domain::reading::Create;
use domain::smtp::Reply;
use domain::{Event, EventKind, Provider, Timestamp, email};
use sha2::{Digest, Sha256};

/// A recipient: its campaign, and its number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientKey {
    /// The campaign.
    pub campaign: i64,
    /// The number within it.
    pub number: i64,
}

impl From<RecipientKey> for crate::recipients::RecipientKey {
    fn from(RecipientKey { campaign, number }: RecipientKey) -> Self {
        Self { campaign, number }
    }
}

/// An event that is to be matched and applied.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The delivery's id times 2^20 plus the place in it: unique, in the order of receipt.
    pub id: i64,
    pub source: Arc<str>,
    pub provider: Provider,
    pub event_id: String,
    pub occurred_at: Timestamp,
    pub kind: EventKind,
    pub class: Option<BounceClass>,
    pub reply: Reply,
    pub diagnostic: Option<String>,
    pub url: Option<String>,
    pub verdict: Option<Verdict>,
    pub message_id: Option<String>,
    /// The address as the provider wrote it, and what identifies the mailbox.
    pub email: Option<String>,
    pub email_key: Option<String>,
    pub recipient_ref: Option<String>,
    /// Candidates for the campaign's key: the metadata's value, then the tags. Shared by the events of a notification.
    pub campaign_keys: Arc<[String]>,
    pub create: Create,
    /// Whether the metadata names a campaign: then a recipient of another one cannot be meant.
    pub names_campaign: bool,
    /// The campaign, where one of `campaign_keys` is one's.
    pub campaign: Option<i64>,
    pub matched: Option<RecipientKey>,
    /// The attempt that was under way when it was matched; from [`fold`](super::fold) on, the one that it is about.
    pub attempt: i32,
    /// Whether its message id led to the recipient, and so need not be learned.
    pub known_message: bool,
}

/// The keys of the previous event, reused if the next one has the same campaign and shares its tags.
#[derive(Default)]
pub struct CampaignKeys {
    campaign: Option<String>,
    tags: Arc<[String]>,
    keys: Arc<[String]>,
}

impl CampaignKeys {
    fn of(&mut self, campaign: Option<String>, tags: Arc<[String]>) -> Arc<[String]> {
        if !Arc::ptr_eq(&self.tags, &tags) || self.campaign != campaign {
            let all = campaign.iter().chain(tags.iter()).cloned().filter_map(key);
            let keys = all.take(MAX_CAMPAIGN_KEYS).collect();
            *self = Self { campaign, tags, keys };
        }
        self.keys.clone()
    }
}

/// Maximum number of candidates for the campaign's key.
const MAX_CAMPAIGN_KEYS: usize = 32;

/// How far a delivery's id is shifted to make room for the place of an event in it.
pub const PLACE_BITS: u32 = 20;

/// Longer keys would not fit an index entry of PostgreSQL, and no provider has them.
const MAX_KEY: usize = 512;
/// Longer texts are cut: server answers are a few lines.
const MAX_TEXT: usize = 4_096;

impl Pending {
    /// From what an adapter read.
    pub fn new(id: i64, source: &Arc<str>, create: Create, event: Event, keys: &mut CampaignKeys) -> Self {
        let email = event.recipient.and_then(key).filter(|email| email.len() <= 320);
        let names_campaign = event.campaign.is_some();
        let campaign_keys = keys.of(event.campaign, event.tags);
        Self {
            id,
            source: source.clone(),
            provider: event.provider,
            event_id: bounded_event_id(event.event_id),
            occurred_at: event.occurred_at,
            kind: event.kind,
            class: event.bounce_class,
            reply: Reply { code: event.smtp_code, enhanced: event.enhanced_code },
            diagnostic: event.diagnostic.map(text),
            url: event.url.map(text),
            verdict: event.verdict,
            message_id: event.message_id.and_then(key),
            email_key: email.as_deref().map(email::key_of),
            email,
            recipient_ref: event.recipient_ref.and_then(key),
            campaign_keys,
            create,
            names_campaign,
            campaign: None,
            matched: None,
            attempt: 1,
            known_message: false,
        }
    }

    /// Estimated memory in bytes, without sharing.
    pub fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = [&self.diagnostic, &self.url, &self.message_id, &self.email, &self.email_key, &self.recipient_ref];
        let keys = self.campaign_keys.iter().map(String::len).sum::<usize>();
        size_of::<Self>() + self.event_id.len() + texts.into_iter().map(text).sum::<usize>() + keys
    }

    /// The delivery that it came in.
    pub const fn delivery(&self) -> i64 {
        self.id >> PLACE_BITS
    }

    /// What the facts of the recipient depend on.
    pub fn report(&self) -> Report<'_> {
        Report {
            kind: self.kind,
            at: self.occurred_at,
            class: self.class,
            reply: self.reply,
            diagnostic: self.diagnostic.as_deref(),
            verdict: self.verdict,
        }
    }
}

/// A verdict as it is stored: null, 0 for a person, else the machine's reason.
pub fn verdict_code(verdict: Option<Verdict>) -> Option<i16> {
    verdict.map(|verdict| match verdict {
        Verdict::Human => 0,
        Verdict::Machine(reason) => reason.code(),
    })
}

/// A stored verdict.
pub fn verdict_from_code(code: Option<i16>) -> Option<Verdict> {
    match code? {
        0 => Some(Verdict::Human),
        code => MachineReason::from_code(code).map(Verdict::Machine),
    }
}

/// PostgreSQL takes no NUL in texts; what it would say in a mail's metadata is nothing.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}

fn key(value: String) -> Option<String> {
    let value = without_nul(value);
    let trimmed = value.trim();
    let usable = !trimmed.is_empty() && trimmed.len() <= MAX_KEY && !trimmed.contains('\n');
    usable.then(|| if trimmed.len() == value.len() { value.clone() } else { trimmed.to_owned() })
}

fn text(value: String) -> String {
    let mut value = without_nul(value);
    if value.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|end| value.is_char_boundary(*end)).unwrap_or_default();
        value.truncate(end);
    }
    value
}

/// An id that is too long for an index is replaced by its hash: still the same for the same event.
fn bounded_event_id(id: String) -> String {
    let id = without_nul(id);
    if id.len() <= 200 { id } else { format!("h-{}", sha256_hex(id.as_bytes())) }
}

/// SHA-256 as lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
