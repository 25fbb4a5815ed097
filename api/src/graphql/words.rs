//! The enums of the domain, with the words that GraphQL has for them.

use async_graphql::Enum;

/// Where a campaign stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::campaign::CampaignState")]
pub enum CampaignState {
    /// Being prepared: recipients are gathered, nothing has gone out.
    Draft,
    /// Going out.
    Sending,
    /// Gone out.
    Sent,
    /// Cancelled before all of it went out.
    Canceled,
}

/// Why a request to a source was refused. The log has the same words: `webhook rejected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::source::RejectionReason")]
pub enum RejectionReason {
    /// No source of this name is configured (404).
    UnknownSource,
    /// User and password are missing or wrong (401).
    Credentials,
    /// The signature, or the token in its place, is missing (401).
    SignatureMissing,
    /// No configured key fits the signature (401).
    SignatureInvalid,
    /// The signature was made too long ago, or in the future (401): see to the clocks.
    SignatureExpired,
    /// A configured secret cannot be used with this provider (401): see to `secrets`.
    SecretUnusable,
    /// The signing certificate is not the provider's own (401).
    Certificate,
    /// The topic is none of those in `topics` (401).
    Topic,
    /// The body is not in the provider's format (400). `Source.unreadable` counts these.
    Unreadable,
    /// The body is larger than allowed (413).
    TooLarge,
    /// The body did not arrive in time (408).
    Incomplete,
    /// The request could not be served, and the provider was asked to come again (503).
    Unavailable,
}

/// What became of a recipient: derived from everything that is known about it, never set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::status::RecipientStatus")]
pub enum RecipientStatus {
    /// Chosen, not sent yet.
    Ready,
    /// Sent; nothing more is known.
    Sent,
    /// Accepted by the recipient's server.
    Delivered,
    /// Opened by a person.
    Read,
    /// A link was followed by a person.
    Clicked,
    /// Not delivered, for a reason that may pass or is the sender's.
    SoftBounced,
    /// Not delivered, for good.
    HardBounced,
    /// Not sent; the skip reason says why.
    Blocked,
    /// Reported as spam.
    Complained,
    /// Unsubscribed.
    Unsubscribed,
    /// The campaign was cancelled before it was sent.
    Canceled,
}

/// Why a recipient was not sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::status::SkipReason")]
pub enum SkipReason {
    /// The address is blocked.
    BlockedAddress,
    /// The address bounced too often.
    TooManyBounces,
    /// The address stands in the campaign already.
    Duplicate,
    /// There is no consent to be written to.
    NoConsent,
    /// The person does not subscribe to this kind of mail.
    NoSubscription,
    /// It is no address.
    InvalidAddress,
    /// The provider refused to send, or could not.
    ProviderRefused,
    /// A reminder that is no longer needed: the person responded after it was made.
    Responded,
    /// The person has left the company, says the CRM.
    FormerEmployee,
}

/// Why a message was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::BounceClass")]
pub enum BounceClass {
    /// No such mailbox or domain.
    Hard,
    /// Something that may pass.
    Soft,
    /// The sender's reputation or a policy of the recipient's server.
    Block,
    /// The mailbox is over its quota.
    MailboxFull,
    /// The domain's servers could not be found or reached.
    Dns,
    /// The message itself: its size, its content, an attachment.
    Content,
    /// An automatic answer that was reported as a bounce.
    AutoReply,
    /// The provider does not say.
    Unknown,
}

/// What happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::EventKind")]
pub enum EventKind {
    /// The provider took the message over and has not tried to deliver it yet.
    Queued,
    /// The provider sent it off.
    Sent,
    /// The recipient's server accepted it.
    Delivered,
    /// The recipient's server asked to come back later; the provider goes on trying.
    Deferred,
    /// Not delivered, for a reason that may pass (mailbox full, server down).
    SoftBounce,
    /// Not delivered, for a reason of the recipient's that will not pass (no such mailbox).
    HardBounce,
    /// Refused for the sender's reputation, policy or content: not the recipient's fault.
    Blocked,
    /// The provider did not send it: suppressed, invalid.
    Rejected,
    /// The provider could not send it: a template that does not render, an internal error.
    Failed,
    /// The tracking pixel was fetched.
    Opened,
    /// A tracked link was followed.
    Clicked,
    /// The recipient reported it as spam.
    Complained,
    /// The recipient unsubscribed.
    Unsubscribed,
    /// The recipient subscribed again.
    Subscribed,
    /// An out-of-office note, a change-of-address note, a challenge: delivered, not a bounce.
    AutoReply,
    /// Anything that nachfass has no word for; kept and shown.
    Other,
}

/// Why an open or a click is taken for a machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::machine::MachineReason")]
pub enum MachineReason {
    /// The provider says so.
    ProviderFlag,
    /// The user agent is a known image proxy or prefetcher.
    KnownProxy,
    /// The user agent is a known security scanner, crawler or HTTP library.
    KnownScanner,
    /// Many distinct links of one message within about a second.
    Burst,
}

/// How an address is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::health::AddressHealth")]
pub enum AddressHealth {
    /// Nothing speaks against it.
    Ok,
    /// Bounced since the last delivery, but not often enough to be blocked.
    Suspect,
    /// Not to be written to.
    Blocked,
}

/// Why an address is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::health::BlockReason")]
pub enum BlockReason {
    /// A hard bounce of the recipient's own making.
    HardBounce,
    /// Too many soft bounces.
    SoftBounces,
    /// Somebody blocked it by hand.
    Manual,
    /// The person has left the company.
    FormerEmployee,
    /// Somebody took it out of use.
    Deleted,
}

/// What addresses are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "service::addresses::groups::GroupKey")]
pub enum AddressGroupKey {
    /// The domain. Only for those who may see personal data.
    Domain,
    /// Why they are blocked.
    Reason,
    /// Who is responsible for the people behind them. Only for those who may see personal data.
    Owner,
    /// The month in which they were blocked, in UTC.
    Month,
}

/// What is wrong with a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::alerts::AlertKind")]
pub enum AlertKind {
    /// Too many bounces.
    BounceRate,
    /// Too many complaints.
    ComplaintRate,
    /// Too many refusals for the sender's reputation, policy or content. They harm no address.
    SenderRefusals,
    /// It was sent, and no provider reports anything.
    NoEvents,
}

/// A sender of webhooks whose format nachfass reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Provider")]
pub enum Provider {
    /// Mailgun.
    Mailgun,
    /// Twilio SendGrid.
    Sendgrid,
    /// Amazon Simple Email Service.
    Ses,
    /// Postmark.
    Postmark,
    /// Brevo.
    Brevo,
    /// SparkPost.
    Sparkpost,
    /// Mailjet.
    Mailjet,
    /// Resend.
    Resend,
    /// Mailchimp Transactional (Mandrill).
    Mandrill,
    /// MailerSend.
    Mailersend,
    /// Mailtrap.
    Mailtrap,
    /// Postal.
    Postal,
    /// Unisender.
    Unisender,
    /// Scaleway Transactional Email.
    Scaleway,
    /// The generic format of nachfass, for anything else that sends mail.
    Generic,
}

/// What somebody may do. Each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "service::Role")]
pub enum Role {
    /// Sees figures, and no personal data.
    Viewer,
    /// Sees and works with recipients and campaigns.
    Marketer,
    /// Also manages tokens, users and settings, and sees raw deliveries.
    Admin,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "service::events::DeliveryState")]
pub enum DeliveryState {
    /// Stored, and not applied yet.
    Stored,
    /// All of its events are applied.
    Applied,
    /// Applied but for some elements that could not be read.
    PartlyApplied,
    /// Nothing in it could be read.
    Unreadable,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "service::jobs::JobKind")]
pub enum JobKind {
    /// Imports recipients from an upload.
    Import,
    /// Matches kept events with recipients that have arrived.
    Rematch,
    /// Skips the recipients still to be sent to whose address was blocked, and takes those back whose address is well again.
    SettleRecipients,
    /// Judges addresses again: bounces have expired, or the rules have changed.
    ReviewAddresses,
    /// Forgets the bounces of addresses and lifts their blocks.
    ClearBounces,
    /// Blocks addresses.
    BlockAddresses,
    /// Takes addresses out of use.
    DeleteAddresses,
    /// Marks addresses as those of people who have left their company.
    MarkFormerEmployees,
    /// Notes that the users of addresses have consented anew after a complaint.
    RestoreConsent,
    /// Writes a list into a file.
    Export,
    /// Makes the reminders of a rule.
    Remind,
    /// Sees which reminders are due, and takes those out who have responded meanwhile.
    CheckReminders,
    /// Sees whether something is wrong with a campaign.
    CheckAlerts,
    /// Tells somebody about an alert, by mail or webhook.
    Notify,
    /// Removes what is older than it is kept.
    Prune,
    /// Reads persons, selections and projects from the CRM.
    SyncCrm,
    /// Adds persons to a selection.
    AddToSelection,
    /// Removes persons from a selection.
    RemoveFromSelection,
    /// Adds persons to a project.
    AddToProject,
    /// Makes tasks for those who are responsible for persons.
    CreateFollowUps,
    /// Tells the CRM of bounces, withdrawn consent and who has left.
    ReportToCrm,
    /// Corrects addresses as a file says.
    ImportCorrections,
    /// Has recipients take the corrected address.
    ApplyCorrection,
    /// Looks for addresses that may be written wrongly.
    SuggestCorrections,
    /// Tells the CRM of corrected addresses.
    PushCorrections,
    /// Imports the members of selections and projects as recipients.
    ImportMembers,
    /// Reads the recipients of a campaign from its selections and projects again.
    ReloadRecipients,
    /// Has a campaign sent again to those who have not got it.
    Resend,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "service::jobs::JobState")]
pub enum JobState {
    /// Waits for its time and a worker.
    Queued,
    /// A worker has it.
    Running,
    /// Done.
    Succeeded,
    /// Given up.
    Failed,
    /// Called off.
    Canceled,
}

/// Whom a reminder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::reminder::ReminderAudience")]
pub enum ReminderAudience {
    /// Sent or delivered, and no person opened or clicked.
    NoHumanSignal,
    /// No person clicked, whether or not somebody opened.
    NotClicked,
}

/// What is made of those who are to be reminded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::reminder::ReminderAction")]
pub enum ReminderAction {
    /// A campaign with them as its recipients, which is reported as a selection as well where the CRM knows anybody.
    NewCampaign,
    /// A selection of the CRM with them as its members, for whoever reminds them by other means. They count as reminded from then on.
    Selection,
    /// The same campaign is sent to them again, as another attempt.
    Resend,
}

/// Which way a list runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
pub enum OrderDirection {
    /// The smallest, the earliest, A first.
    #[default]
    Asc,
    /// The largest, the latest, Z first.
    Desc,
}

impl OrderDirection {
    /// Whether it is the one from the largest on.
    pub const fn is_descending(self) -> bool {
        matches!(self, Self::Desc)
    }
}

/// How the members of a selection are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::crm::SelectionKind")]
pub enum SelectionKind {
    /// They were put there one by one.
    Static,
    /// Whoever meets its criteria at the moment.
    Dynamic,
    /// Put together from two others.
    Combined,
}

/// Where a correction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::correction::CorrectionState")]
pub enum CorrectionState {
    /// Somebody is to decide.
    Suggested,
    /// Decided: recipients have the new address, or are getting it.
    Applied,
    /// Somebody has said no. It is not suggested again.
    Rejected,
    /// Applied here, but the CRM has another address by now: somebody is to decide which one holds.
    Conflict,
    /// A suggestion that nobody decided on before something else came of the address.
    Superseded,
}

/// Where a correction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::correction::CorrectionSource")]
pub enum CorrectionSource {
    /// Somebody made it by hand.
    Manual,
    /// It stood in a file.
    File,
    /// It was suggested.
    Suggestion,
}

/// Why a correction is suggested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::correction::SuggestionReason")]
pub enum SuggestionReason {
    /// The domain is that of a large provider but for a slip of the fingers.
    TypoDomain,
    /// The end of the domain is none, or not that of the provider.
    TldSlip,
    /// Addresses of this domain were corrected to another one by hand.
    Learned,
    /// The same person has another address in the CRM.
    OtherAddress,
    /// Signs that belong to no address, or a dot that is missing.
    Malformed,
}

/// What has become of a correction in the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::correction::PushState")]
pub enum PushState {
    /// There is nobody in the CRM to correct.
    None,
    /// The CRM is to be told.
    Pending,
    /// The CRM is being told: it may know it or not.
    Pushing,
    /// The CRM has the new address.
    Pushed,
    /// The CRM has neither the old nor the new address.
    Conflict,
    /// The CRM does not take it.
    Failed,
}
