//! What can be written of each list: the columns, what they are called, and how they are read.

use domain::BounceClass;
use domain::health::{AddressHealth, BlockReason};
use domain::status::{RecipientStatus, SkipReason};
use domain::table::{CellKind, Column};

use crate::error::{Refusal, RefusalCode};

/// How a cell is read from the database. The SQL expressions are those of the lists: `r` is the recipient, `a` the address, `c` the
/// campaign, `k` the click, `l` the link, `m` the complaint.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    /// A text.
    Text(&'static str),
    /// A 32-bit number.
    Int(&'static str),
    /// Microseconds.
    Time(&'static str),
    /// Whether it is so.
    Bool(&'static str),
    /// A 16-bit number that stands for a word.
    Word(&'static str, fn(i16) -> Option<&'static str>),
    /// What the server said when a recipient failed: its code, the enhanced one, and its words.
    Reason(&'static str, &'static str, &'static str),
}

impl Read {
    /// The SQL expressions that it needs.
    pub(super) fn expressions(self) -> impl Iterator<Item = &'static str> {
        let (first, more) = match self {
            Self::Text(sql) | Self::Int(sql) | Self::Time(sql) | Self::Bool(sql) | Self::Word(sql, _) => (sql, None),
            Self::Reason(code, enhanced, words) => (code, Some([enhanced, words])),
        };
        std::iter::once(first).chain(more.into_iter().flatten())
    }

    const fn kind(self) -> CellKind {
        match self {
            Self::Text(_) | Self::Word(..) | Self::Reason(..) => CellKind::Text,
            Self::Int(_) => CellKind::Int,
            Self::Time(_) => CellKind::Time,
            Self::Bool(_) => CellKind::Bool,
        }
    }
}

/// The columns of a list.
pub(super) trait Columns: Copy + PartialEq + 'static {
    /// What is written where nothing is said.
    const USUAL: &'static [Self];

    /// The name of the field in GraphQL.
    fn name(self) -> &'static str;

    /// How it is read.
    fn read(self) -> Read;

    /// As the table knows it.
    fn column(self) -> Column {
        Column { name: self.name(), kind: self.read().kind() }
    }
}

/// The columns that are asked for, in their order.
///
/// # Errors
/// A refusal where it is none, or one of them twice.
pub(super) fn chosen<C: Columns>(columns: Option<Vec<C>>) -> Result<Vec<C>, Refusal> {
    let Some(columns) = columns else { return Ok(C::USUAL.to_vec()) };
    let refuse = |message: String| Refusal::field(RefusalCode::Invalid, &["columns"], message);
    if columns.is_empty() {
        return Err(refuse("choose at least one column, or say nothing for the usual ones".to_owned()));
    }
    let twice =
        columns.iter().enumerate().find(|(place, column)| columns.iter().take(*place).any(|one| one == *column));
    match twice {
        Some((_, column)) => Err(refuse(format!("the column {} is there twice", column.name()))),
        None => Ok(columns),
    }
}

macro_rules! columns {
    ($(#[$meta:meta])* $name:ident, usually [$($usual:ident)+] {
        $($(#[$doc:meta])* $variant:ident $text:literal = $read:expr,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every column, in the order in which they are told.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
        }

        impl Columns for $name {
            const USUAL: &'static [Self] = &[$(Self::$usual,)+];

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            fn read(self) -> Read {
                match self { $(Self::$variant => $read,)+ }
            }
        }
    };
}

/// As the recipient's field of the same name has it: there wherever it failed.
const BOUNCE_CLASS: &str =
    "CAST(CASE WHEN r.failure_at IS NULL THEN NULL ELSE COALESCE(r.failure_class, 8) END AS SMALLINT)";

fn status(code: i16) -> Option<&'static str> {
    RecipientStatus::from_code(code).map(RecipientStatus::as_str)
}

fn skip_reason(code: i16) -> Option<&'static str> {
    SkipReason::from_code(code).map(SkipReason::as_str)
}

fn bounce_class(code: i16) -> Option<&'static str> {
    Some(BounceClass::from_code(code).unwrap_or(BounceClass::Unknown).as_str())
}

fn health(code: i16) -> Option<&'static str> {
    AddressHealth::from_code(code).map(AddressHealth::as_str)
}

fn block_reason(code: i16) -> Option<&'static str> {
    BlockReason::from_code(code).map(BlockReason::as_str)
}

columns! {
    /// What can be written of recipients.
    RecipientColumn, usually [
        Email Name Company Status SkipReason BounceClass BounceReason SentAt DeliveredAt FirstOpenedAt Opens FirstClickedAt Clicks
    ] {
        /// The address, as it was imported.
        Email "email" = Read::Text("r.email"),
        /// The person's name.
        Name "name" = Read::Text("r.name"),
        /// The company.
        Company "company" = Read::Text("r.company"),
        /// Who is responsible.
        Owner "owner" = Read::Text("r.owner"),
        /// The person's id in the CRM.
        CrmId "crmId" = Read::Text("r.crm_id"),
        /// The sender's own id of the recipient.
        RecipientId "recipientId" = Read::Text("r.ref"),
        /// Further columns of the import, a JSON object.
        Attributes "attributes" = Read::Text("r.attributes"),
        /// The domain of the address.
        Domain "domain" = Read::Text("r.domain"),
        /// What became of it.
        Status "status" = Read::Word("r.status", status),
        /// Why it was not sent to.
        SkipReason "skipReason" = Read::Word("r.skip_reason", skip_reason),
        /// Why it failed.
        BounceClass "bounceClass" = Read::Word(BOUNCE_CLASS, bounce_class),
        /// The server's own words when it failed, with the codes.
        BounceReason "bounceReason" =
            Read::Reason("r.failure_smtp_code", "r.failure_enhanced_code", "r.failure_diagnostic"),
        /// When it was sent.
        SentAt "sentAt" = Read::Time("r.sent_at"),
        /// First delivery.
        DeliveredAt "deliveredAt" = Read::Time("r.delivered_at"),
        /// First open by a person.
        FirstOpenedAt "firstOpenedAt" = Read::Time("r.first_opened_at"),
        /// Last open by a person.
        LastOpenedAt "lastOpenedAt" = Read::Time("r.last_opened_at"),
        /// Opens by a person.
        Opens "opens" = Read::Int("r.opens"),
        /// Opens by proxies and prefetchers.
        MachineOpens "machineOpens" = Read::Int("r.machine_opens"),
        /// First click by a person.
        FirstClickedAt "firstClickedAt" = Read::Time("r.first_clicked_at"),
        /// Last click by a person.
        LastClickedAt "lastClickedAt" = Read::Time("r.last_clicked_at"),
        /// Clicks by a person.
        Clicks "clicks" = Read::Int("r.clicks"),
        /// Clicks by scanners.
        MachineClicks "machineClicks" = Read::Int("r.machine_clicks"),
        /// First complaint.
        ComplainedAt "complainedAt" = Read::Time("r.complained_at"),
        /// First time unsubscribed.
        UnsubscribedAt "unsubscribedAt" = Read::Time("r.unsubscribed_at"),
        /// How many times the campaign was sent to it.
        Attempts "attempts" = Read::Int("r.attempt"),
        /// Whether the address belongs to a provider's simulator.
        IsSimulator "isSimulator" = Read::Bool("r.is_simulator"),
        /// How the address is doing in all campaigns.
        AddressHealth "addressHealth" = Read::Word("a.health", health),
        /// Since when the address is blocked.
        BlockedAt "blockedAt" = Read::Time("a.blocked_at"),
        /// Why the address is blocked.
        BlockReason "blockReason" = Read::Word("a.block_reason", block_reason),
    }
}

columns! {
    /// What can be written of the clicks of persons.
    ClickColumn, usually [Email Name Company Url ClickedAt] {
        /// The address, as it was imported.
        Email "email" = Read::Text("r.email"),
        /// The person's name.
        Name "name" = Read::Text("r.name"),
        /// The company.
        Company "company" = Read::Text("r.company"),
        /// Who is responsible.
        Owner "owner" = Read::Text("r.owner"),
        /// The person's id in the CRM.
        CrmId "crmId" = Read::Text("r.crm_id"),
        /// The sender's own id of the recipient.
        RecipientId "recipientId" = Read::Text("r.ref"),
        /// What became of the recipient.
        Status "status" = Read::Word("r.status", status),
        /// What was clicked.
        Url "url" = Read::Text("l.url"),
        /// When.
        ClickedAt "clickedAt" = Read::Time("k.occurred_at"),
    }
}

columns! {
    /// What can be written of addresses.
    AddressColumn, usually [Email Health BlockedAt BlockReason BlockNote LastReason LastReasonAt ConsecutiveSoftBounces] {
        /// The address in lower case, its domain in ASCII.
        Email "email" = Read::Text("a.email_key"),
        /// How it is doing.
        Health "health" = Read::Word("a.health", health),
        /// Soft bounces since the last delivery.
        ConsecutiveSoftBounces "consecutiveSoftBounces" = Read::Int("a.consecutive_soft_bounces"),
        /// What a server last said when it bounced.
        LastReason "lastReason" = Read::Text("a.last_reason"),
        /// When that was.
        LastReasonAt "lastReasonAt" = Read::Time("a.last_reason_at"),
        /// Since when it is blocked.
        BlockedAt "blockedAt" = Read::Time("a.blocked_at"),
        /// Why it is blocked.
        BlockReason "blockReason" = Read::Word("a.block_reason", block_reason),
        /// Why somebody blocked it, in their words.
        BlockNote "blockNote" = Read::Text("a.block_note"),
        /// Since when its user is known to have left the company.
        FormerEmployeeAt "formerEmployeeAt" = Read::Time("a.former_employee_at"),
        /// When its user last reported a mail as spam.
        ComplainedAt "complainedAt" = Read::Time("a.last_complained_at"),
        /// When its user last unsubscribed.
        UnsubscribedAt "unsubscribedAt" = Read::Time("a.unsubscribed_at"),
        /// When it was first seen.
        CreatedAt "createdAt" = Read::Time("a.created_at"),
    }
}

columns! {
    /// What can be written of complaints.
    ComplaintColumn, usually [Email Name Company Campaign SentAt ComplainedAt] {
        /// The address, as it was imported.
        Email "email" = Read::Text("r.email"),
        /// The person's name.
        Name "name" = Read::Text("r.name"),
        /// The company.
        Company "company" = Read::Text("r.company"),
        /// Who is responsible.
        Owner "owner" = Read::Text("r.owner"),
        /// The person's id in the CRM.
        CrmId "crmId" = Read::Text("r.crm_id"),
        /// The sender's own id of the recipient.
        RecipientId "recipientId" = Read::Text("r.ref"),
        /// The name of the campaign.
        Campaign "campaign" = Read::Text("c.name"),
        /// What the sender calls the campaign.
        CampaignKey "campaignKey" = Read::Text("c.key"),
        /// When the mail was sent.
        SentAt "sentAt" = Read::Time("r.sent_at"),
        /// When it was reported as spam.
        ComplainedAt "complainedAt" = Read::Time("m.complained_at"),
        /// How the address is doing.
        AddressHealth "addressHealth" = Read::Word("a.health", health),
        /// Since when the address is blocked.
        BlockedAt "blockedAt" = Read::Time("a.blocked_at"),
    }
}
