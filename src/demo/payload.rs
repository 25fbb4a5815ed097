//! What happened, as each provider's webhook tells it. The shapes are those of the vendors' documentation, kept in
//! `connectors/fixtures`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{EventKind, Timestamp};
use serde_json::{Map, Value, json};

use super::signing::{CAMPAIGN_NAME, Channel, RECIPIENT_NAME};
use super::story::{Agent, Refusal, What};
use super::world::{Campaign, Recipient};

/// Something that happened to a mail, with all that a provider knows of it.
#[derive(Debug)]
pub struct Happening<'a> {
    /// The campaign.
    pub campaign: &'static Campaign,
    /// The recipient.
    pub recipient: &'a Recipient,
    /// The seed of the demo: part of all ids, so that two demos do not share any.
    pub seed: u64,
    /// The number of the recipient among all of the demo.
    pub number: u32,
    /// The place in the recipient's story.
    pub step: u16,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

impl Happening<'_> {
    /// The event in the words of the recipient's provider.
    #[must_use]
    pub fn payload(&self) -> Value {
        let (common, own) = match self.recipient.channel {
            Channel::Sendgrid => (self.sendgrid_common(), self.sendgrid()),
            Channel::Mailgun => (self.mailgun_common(), self.mailgun()),
            Channel::Postmark => (self.postmark_common(), self.postmark()),
            Channel::Brevo => (self.brevo_common(), self.brevo()),
        };
        match (common, own) {
            (Value::Object(common), Value::Object(own)) => Value::Object(common.into_iter().chain(own).collect()),
            (common, _) => common,
        }
    }

    /// The provider's id of the mail.
    #[must_use]
    pub fn message_id(&self) -> String {
        let (seed, number) = (self.seed, self.number);
        match self.recipient.channel {
            Channel::Sendgrid => format!("Nf{seed:x}-{number:06}"),
            Channel::Mailgun => format!("{seed:x}.{number:06}@mg.versandhaus.example"),
            Channel::Postmark => format!("{number:08x}-da7a-4e5b-8c1d-{:012x}", seed & 0xffff_ffff_ffff),
            Channel::Brevo => format!("{seed:x}.{number}@smtp-relay.versandhaus.example"),
        }
    }

    fn event_id(&self) -> String {
        format!("{:x}-{:x}-{:x}", self.seed, self.number, self.step)
    }

    /// The name and the address, as a mail's heading has them.
    fn to(&self) -> String {
        let recipient = self.recipient;
        format!("{} {} <{}>", recipient.first_name, recipient.last_name, recipient.email)
    }

    fn metadata(&self) -> Map<String, Value> {
        let pairs = [(CAMPAIGN_NAME, self.campaign.key), (RECIPIENT_NAME, &self.recipient.id)];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    const fn seconds(&self) -> i64 {
        self.at.micros().div_euclid(1_000_000)
    }

    fn sendgrid_common(&self) -> Value {
        let mut common = json!({
            "email": self.recipient.email,
            "timestamp": self.seconds(),
            "smtp-id": format!("<{}@ismtpd-0001.versandhaus.example>", self.message_id()),
            "category": [self.campaign.key],
            "sg_event_id": STANDARD.encode(self.event_id()),
            "sg_message_id": format!("{}.filter0001.16648.5515E0B88.0", self.message_id()),
        });
        if let Some(common) = common.as_object_mut() {
            common.extend(self.metadata());
        }
        common
    }

    fn sendgrid(&self) -> Value {
        match self.what {
            What::Queued => json!({ "event": "processed" }),
            What::Delivered => json!({ "event": "delivered", "response": "250 2.0.0 OK", "tls": 1 }),
            What::Refused(refusal) if refusal.kind == EventKind::Deferred => {
                json!({ "event": "deferred", "response": refusal.line(), "attempt": "1" })
            }
            What::Refused(refusal) => {
                let (kind, class) = match refusal.kind {
                    EventKind::Blocked => ("blocked", "Reputation"),
                    EventKind::HardBounce => ("bounce", "Invalid Address"),
                    _ => ("bounce", "Mailbox Unavailable"),
                };
                json!({
                    "event": "bounce",
                    "type": kind,
                    "status": refusal.status,
                    "reason": refusal.line(),
                    "bounce_classification": class,
                })
            }
            What::Rejected => json!({ "event": "dropped", "reason": "Bounced Address" }),
            What::Opened(agent) => json!({
                "event": "open",
                "useragent": agent.user_agent,
                "ip": "203.0.113.7",
                "sg_machine_open": agent.bot == Some("apple"),
                "sg_content_type": "html",
            }),
            What::Clicked(agent, url) => json!({
                "event": "click",
                "url": url,
                "url_offset": { "index": 0, "type": "html" },
                "useragent": agent.user_agent,
                "ip": "203.0.113.7",
            }),
            What::Complained => json!({ "event": "spamreport" }),
            What::Unsubscribed => json!({ "event": "group_unsubscribe", "asm_group_id": 10 }),
            What::AutoReply | What::Unknown => {
                json!({ "event": "account_status_change", "type": "compliance_suspend" })
            }
        }
    }

    fn mailgun_common(&self) -> Value {
        json!({
            "id": self.event_id(),
            "timestamp": fractional_seconds(self.at),
            "recipient": self.recipient.email,
            "message": {
                "headers": {
                    "message-id": self.message_id(),
                    "to": self.to(),
                    "from": self.campaign.from,
                    "subject": self.campaign.subject,
                },
                "attachments": [],
                "size": 48_213,
            },
            "tags": [self.campaign.key],
            "user-variables": self.metadata(),
        })
    }

    fn mailgun(&self) -> Value {
        // Opens and clicks carry no more of the mail than its id.
        let only_id = json!({ "headers": { "message-id": self.message_id() } });
        match self.what {
            What::Queued => json!({ "event": "accepted", "method": "http", "delivery-status": null }),
            What::Delivered => json!({
                "event": "delivered",
                "delivery-status": {
                    "tls": true,
                    "mx-host": "mx.versandhaus.example",
                    "attempt-no": 1,
                    "description": "",
                    "session-seconds": 0.43,
                    "code": 250,
                    "message": "OK",
                },
            }),
            What::Refused(refusal) => mailgun_failure(refusal),
            What::Rejected => json!({
                "event": "rejected",
                "recipient": null,
                "reject": { "reason": "Sandbox subdomains are for test purposes only", "description": "" },
            }),
            What::Opened(agent) => json!({ "event": "opened", "client-info": client_info(agent), "message": only_id }),
            What::Clicked(agent, url) => {
                json!({ "event": "clicked", "url": url, "client-info": client_info(agent), "message": only_id })
            }
            What::Complained => json!({ "event": "complained" }),
            What::Unsubscribed => json!({ "event": "unsubscribed" }),
            What::AutoReply | What::Unknown => json!({ "event": "list_member_uploaded" }),
        }
    }

    fn postmark_common(&self) -> Value {
        json!({
            "MessageID": self.message_id(),
            "MessageStream": "broadcast",
            "ServerID": 23,
            "Tag": self.campaign.key,
            "Metadata": self.metadata(),
        })
    }

    fn postmark(&self) -> Value {
        let (email, at) = (&self.recipient.email, self.at);
        match self.what {
            What::Delivered => {
                json!({ "RecordType": "Delivery", "Recipient": email, "DeliveredAt": at, "Details": "smtp;250 2.0.0 OK" })
            }
            What::Refused(refusal) => {
                let (kind, code) = match refusal.kind {
                    EventKind::HardBounce => ("HardBounce", 1),
                    EventKind::Deferred => ("Transient", 2),
                    _ => ("SoftBounce", 4_096),
                };
                self.postmark_bounce("Bounce", kind, code, &format!("smtp;{}", refusal.line()))
            }
            What::Rejected => {
                self.postmark_bounce("Bounce", "ManuallyDeactivated", 100_006, "The address was deactivated")
            }
            What::AutoReply => self.postmark_bounce("Bounce", "AutoResponder", 32, "Out of office until Monday"),
            What::Complained => self.postmark_bounce("SpamComplaint", "SpamComplaint", 512, ""),
            What::Opened(agent) => json!({
                "RecordType": "Open",
                "Recipient": email,
                "ReceivedAt": at,
                "FirstOpen": false,
                "UserAgent": agent.user_agent,
                "Client": {},
                "OS": {},
                "Geo": {},
            }),
            What::Clicked(agent, url) => json!({
                "RecordType": "Click",
                "Recipient": email,
                "ReceivedAt": at,
                "ClickLocation": "HTML",
                "OriginalLink": url,
                "UserAgent": agent.user_agent,
                "Geo": {},
            }),
            What::Unsubscribed => json!({
                "RecordType": "SubscriptionChange",
                "Recipient": email,
                "ChangedAt": at,
                "Origin": "Recipient",
                "SuppressSending": true,
                "SuppressionReason": "ManualSuppression",
            }),
            What::Queued | What::Unknown => {
                json!({ "RecordType": "InboxPreview", "Recipient": email, "ReceivedAt": at })
            }
        }
    }

    fn postmark_bounce(&self, record: &str, kind: &str, code: u32, details: &str) -> Value {
        let id = (self.seed % 1_000_000) * 10_000_000_000 + u64::from(self.number + 1) * 1_000 + u64::from(self.step);
        json!({
            "RecordType": record,
            "ID": id,
            "Type": kind,
            "TypeCode": code,
            "Name": kind,
            "Details": details,
            "Email": self.recipient.email,
            "From": self.campaign.from,
            "Subject": self.campaign.subject,
            "BouncedAt": self.at,
            "Inactive": kind == "HardBounce",
            "CanActivate": true,
        })
    }

    fn brevo_common(&self) -> Value {
        json!({
            "email": self.recipient.email,
            "id": 26_224,
            "message-id": format!("<{}>", self.message_id()),
            "subject": self.campaign.subject,
            "ts_epoch": self.at.micros().div_euclid(1_000),
            "tags": [self.campaign.key],
            "X-Mailin-custom": Value::Object(self.metadata()).to_string(),
        })
    }

    fn brevo(&self) -> Value {
        match self.what {
            What::Queued => json!({ "event": "request" }),
            What::Delivered => json!({ "event": "delivered" }),
            What::Refused(refusal) => {
                let event = match refusal.kind {
                    EventKind::HardBounce => "hard_bounce",
                    EventKind::Deferred => "deferred",
                    EventKind::Blocked => "blocked",
                    _ => "soft_bounce",
                };
                json!({ "event": event, "reason": refusal.line() })
            }
            What::Opened(Agent { bot: Some(_), .. }) => json!({ "event": "proxy_open" }),
            What::Opened(_) => json!({ "event": "opened" }),
            What::Clicked(agent, url) => json!({ "event": "click", "link": url, "user_agent": agent.user_agent }),
            What::Complained => json!({ "event": "spam" }),
            What::Unsubscribed => json!({ "event": "unsubscribe" }),
            What::Rejected | What::AutoReply | What::Unknown => json!({ "event": "contact_updated" }),
        }
    }
}

fn mailgun_failure(refusal: &Refusal) -> Value {
    let (severity, reason) = match refusal.kind {
        EventKind::Deferred => ("temporary", "generic"),
        EventKind::Blocked => ("permanent", "espblock"),
        _ => ("permanent", "bounce"),
    };
    json!({
        "event": "failed",
        "severity": severity,
        "reason": reason,
        "delivery-status": { "attempt-no": 1, "code": refusal.code, "message": refusal.line(), "description": "" },
    })
}

fn client_info(agent: &Agent) -> Value {
    json!({ "client-type": "browser", "user-agent": agent.user_agent, "bot": agent.bot.unwrap_or_default() })
}

/// A time as Mailgun writes it: seconds with a fraction.
fn fractional_seconds(at: Timestamp) -> Option<f64> {
    let micros = at.micros();
    format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000)).parse().ok()
}
