//! Global ids: opaque to clients, and typed, so that the id of a job is refused where that of a campaign is due.

use async_graphql::{ID, Interface};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use service::recipients::RecipientKey;
use service::{Refusal, RefusalCode};

use super::address::Address;
use super::campaign::Campaign;
use super::correction::Correction;
use super::delivery::Delivery;
use super::follow_up::FollowUp;
use super::job::Job;
use super::person::Person;
use super::person_list::{Project, Selection};
use super::recipient::Recipient;
use super::reminder::ReminderRule;

/// Anything that can be asked for again by its id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "A global id: opaque, and different for each thing of any type."))]
pub enum Node {
    /// A campaign.
    Campaign(Campaign),
    /// A recipient of a campaign.
    Recipient(Recipient),
    /// An e-mail address.
    Address(Address),
    /// A job.
    Job(Job),
    /// A request of a provider.
    Delivery(Delivery),
    /// A rule for reminders.
    ReminderRule(ReminderRule),
    /// A selection of the CRM.
    Selection(Selection),
    /// A project of the CRM.
    Project(Project),
    /// A person of the CRM.
    Person(Person),
    /// A task for somebody who is responsible for a person.
    FollowUp(FollowUp),
    /// A correction of an address.
    Correction(Correction),
}

/// What an id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A campaign.
    Campaign(i64),
    /// A recipient of a campaign.
    Recipient(RecipientKey),
    /// An e-mail address.
    Address(i64),
    /// A link in the mails of a campaign.
    Link(i64),
    /// A reported event.
    Event(i64),
    /// A click, by the id of its event.
    Click(i64),
    /// A request of a provider.
    Delivery(i64),
    /// A job.
    Job(i64),
    /// An API token.
    Token(i64),
    /// A user.
    User(i64),
    /// A complaint.
    Complaint(i64),
    /// An entry of the audit log.
    Audit(i64),
    /// A rule for reminders.
    ReminderRule(i64),
    /// A selection of the CRM.
    Selection(i64),
    /// A project of the CRM.
    Project(i64),
    /// A person of the CRM.
    Person(i64),
    /// A task for somebody who is responsible for a person.
    FollowUp(i64),
    /// A correction of an address.
    Correction(i64),
}

impl Key {
    /// As it is given out.
    pub fn id(self) -> ID {
        let kind = self.kind();
        let text = match self {
            Self::Recipient(key) => format!("{kind}:{}:{}", key.campaign, key.number),
            Self::Campaign(id)
            | Self::Address(id)
            | Self::Link(id)
            | Self::Event(id)
            | Self::Click(id)
            | Self::Delivery(id)
            | Self::Job(id)
            | Self::Token(id)
            | Self::User(id)
            | Self::Complaint(id)
            | Self::Audit(id)
            | Self::ReminderRule(id)
            | Self::Selection(id)
            | Self::Project(id)
            | Self::Person(id)
            | Self::FollowUp(id)
            | Self::Correction(id) => format!("{kind}:{id}"),
        };
        ID(URL_SAFE_NO_PAD.encode(text))
    }

    /// The type of what it stands for.
    const fn kind(self) -> &'static str {
        match self {
            Self::Campaign(_) => "Campaign",
            Self::Recipient(_) => "Recipient",
            Self::Address(_) => "Address",
            Self::Link(_) => "TrackedLink",
            Self::Event(_) => "Event",
            Self::Click(_) => "Click",
            Self::Delivery(_) => "Delivery",
            Self::Job(_) => "Job",
            Self::Token(_) => "ApiToken",
            Self::User(_) => "User",
            Self::Complaint(_) => "Complaint",
            Self::Audit(_) => "AuditEntry",
            Self::ReminderRule(_) => "ReminderRule",
            Self::Selection(_) => "Selection",
            Self::Project(_) => "Project",
            Self::Person(_) => "Person",
            Self::FollowUp(_) => "FollowUp",
            Self::Correction(_) => "Correction",
        }
    }

    /// How the audit log names what `id` stands for.
    ///
    /// # Errors
    /// A refusal where it is no id of ours, or of something that the audit log does not name.
    pub fn audit_object(id: &ID) -> Result<String, Refusal> {
        let name = |kind: &str, id: i64| Ok(format!("{kind}:{id}"));
        match Self::parse(id)? {
            Self::Address(id) => name("address", id),
            Self::Campaign(id) => name("campaign", id),
            Self::Job(id) => name("job", id),
            Self::Token(id) => name("token", id),
            Self::User(id) => name("user", id),
            Self::ReminderRule(id) => name("reminder_rule", id),
            Self::Correction(id) => name("correction", id),
            Self::Selection(id) => name("selection", id),
            Self::Project(id) => name("project", id),
            Self::FollowUp(id) => name("follow_up", id),
            other => Err(Refusal::field(
                RefusalCode::Invalid,
                &["filter", "objectId"],
                format!("nothing is audited of a {}", other.kind()),
            )),
        }
    }

    /// What the audit log names, where it has a global id.
    pub fn of_audit(object: &str) -> Option<Self> {
        let (kind, id) = object.split_once(':')?;
        let id = id.parse().ok()?;
        match kind {
            "address" => Some(Self::Address(id)),
            "campaign" => Some(Self::Campaign(id)),
            "job" => Some(Self::Job(id)),
            "token" => Some(Self::Token(id)),
            "user" => Some(Self::User(id)),
            "reminder_rule" => Some(Self::ReminderRule(id)),
            "correction" => Some(Self::Correction(id)),
            "selection" => Some(Self::Selection(id)),
            "project" => Some(Self::Project(id)),
            "follow_up" => Some(Self::FollowUp(id)),
            _ => None,
        }
    }

    /// What `id` stands for.
    ///
    /// # Errors
    /// A refusal where it is no id of ours.
    pub fn parse(id: &ID) -> Result<Self, Refusal> {
        Self::read(id).ok_or_else(|| {
            Refusal::field(RefusalCode::Invalid, &["id"], "not a valid id: pass an id as it was returned by this API")
        })
    }

    fn read(id: &ID) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(id.as_str()).ok()?).ok()?;
        let (kind, key) = text.split_once(':')?;
        if kind == "Recipient" {
            let (campaign, number) = key.split_once(':')?;
            return Some(Self::Recipient(RecipientKey {
                campaign: campaign.parse().ok()?,
                number: number.parse().ok()?,
            }));
        }
        let key = key.parse().ok()?;
        Some(match kind {
            "Campaign" => Self::Campaign(key),
            "Address" => Self::Address(key),
            "TrackedLink" => Self::Link(key),
            "Event" => Self::Event(key),
            "Click" => Self::Click(key),
            "Delivery" => Self::Delivery(key),
            "Job" => Self::Job(key),
            "ApiToken" => Self::Token(key),
            "User" => Self::User(key),
            "Complaint" => Self::Complaint(key),
            "AuditEntry" => Self::Audit(key),
            "ReminderRule" => Self::ReminderRule(key),
            "Selection" => Self::Selection(key),
            "Project" => Self::Project(key),
            "Person" => Self::Person(key),
            "FollowUp" => Self::FollowUp(key),
            "Correction" => Self::Correction(key),
            _ => return None,
        })
    }

    /// The refusal where a node is wanted, and this is the id of something that is only shown inside of others.
    pub fn no_node(self) -> Refusal {
        let message = format!("a {} cannot be asked for by its id alone", self.kind());
        Refusal::field(RefusalCode::Invalid, &["id"], message)
    }

    fn wrong(self, wanted: &str) -> Refusal {
        let message = format!("this is the id of a {}, and a {wanted} is expected here", self.kind());
        Refusal::field(RefusalCode::Invalid, &["id"], message)
    }
}

/// The campaign that an id stands for.
pub(super) fn campaign(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::Campaign(id) => Ok(id),
        other => Err(other.wrong("Campaign")),
    }
}

/// The recipient that an id stands for.
pub(super) fn recipient(id: &ID) -> Result<RecipientKey, Refusal> {
    match Key::parse(id)? {
        Key::Recipient(key) => Ok(key),
        other => Err(other.wrong("Recipient")),
    }
}

/// The link that an id stands for.
pub(super) fn link(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::Link(id) => Ok(id),
        other => Err(other.wrong("TrackedLink")),
    }
}

/// The delivery that an id stands for.
pub(super) fn delivery(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::Delivery(id) => Ok(id),
        other => Err(other.wrong("Delivery")),
    }
}

/// The job that an id stands for.
pub(super) fn job(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::Job(id) => Ok(id),
        other => Err(other.wrong("Job")),
    }
}

/// The rule for reminders that an id stands for.
pub(super) fn reminder_rule(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::ReminderRule(id) => Ok(id),
        other => Err(other.wrong("ReminderRule")),
    }
}

/// The selection that an id stands for.
pub(super) fn selection(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::Selection(id) => Ok(id),
        other => Err(other.wrong("Selection")),
    }
}

/// The person of the CRM that an id stands for.
pub(super) fn person(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::Person(id) => Ok(id),
        other => Err(other.wrong("Person")),
    }
}

/// The project that an id stands for.
pub(super) fn project(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::Project(id) => Ok(id),
        other => Err(other.wrong("Project")),
    }
}

/// The task that an id stands for.
pub(super) fn follow_up(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::FollowUp(id) => Ok(id),
        other => Err(other.wrong("FollowUp")),
    }
}

/// The correction that an id stands for.
pub(super) fn correction(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::Correction(id) => Ok(id),
        other => Err(other.wrong("Correction")),
    }
}

/// The API token that an id stands for.
pub(super) fn token(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::Token(id) => Ok(id),
        other => Err(other.wrong("ApiToken")),
    }
}

/// The user that an id stands for.
pub(super) fn user(id: &ID) -> Result<i64, Refusal> {
    match Key::parse(id)? {
        Key::User(id) => Ok(id),
        other => Err(other.wrong("User")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_what_it_stands_for_and_to_nothing_else() {
        let recipient_key = RecipientKey { campaign: 3, number: 14 };
        for key in [
            Key::Campaign(1),
            Key::Recipient(recipient_key),
            Key::Address(i64::MAX),
            Key::Link(4),
            Key::Event(5),
            Key::Click(6),
            Key::Delivery(7),
            Key::Job(8),
            Key::Token(9),
            Key::User(16),
            Key::ReminderRule(10),
            Key::Selection(11),
            Key::Project(12),
            Key::Person(13),
            Key::Correction(15),
            Key::FollowUp(14),
        ] {
            assert_eq!(Key::parse(&key.id()), Ok(key));
        }
        let link = service::crm::follow_ups::campaign_link("https://x.example", 1);
        assert_eq!(link, format!("https://x.example/campaigns/{}", Key::Campaign(1).id().as_str()));
        assert_eq!(recipient(&Key::Recipient(recipient_key).id()), Ok(recipient_key));
        let error = campaign(&Key::Job(8).id()).expect_err("a job is no campaign");
        assert_eq!(error.message, "this is the id of a Job, and a Campaign is expected here");
        for broken in ["", "1", "Campaign:1", "Q2FtcGFpZ24", "Q2FtcGFpZ246eA", "🙂"] {
            assert!(Key::parse(&ID(broken.to_owned())).is_err(), "{broken}");
        }
    }
}
