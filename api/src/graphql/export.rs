//! Lists as files.

use async_graphql::{Enum, ID, InputObject, Object};
use service::addresses::AddressSet as Addresses;
use service::exports::{self, DownloadLink, ExportResult};
use service::{Access, Refusal, jobs};

use super::complaint::ComplaintFilter;
use super::node;
use super::scalars::{DateTime, at, int};
use super::set::{AddressSet, RecipientSetInput, within};

/// A file that an export made.
pub struct ExportFile {
    file: ExportResult,
    link: Option<DownloadLink>,
}

impl ExportFile {
    /// The file with a new link, for those who may see personal data.
    pub(super) fn new(file: ExportResult, access: &Access) -> Option<Self> {
        let link = access.reader().download_link(&file);
        access.subject().sees_personal_data().then_some(Self { file, link })
    }
}

/// A file that an export made, to be downloaded until it is removed.
#[Object]
impl ExportFile {
    /// What it is called.
    async fn name(&self) -> &str {
        &self.file.name
    }

    /// Its media type.
    async fn content_type(&self) -> &str {
        &self.file.content_type
    }

    /// Its bytes.
    async fn size(&self) -> i32 {
        int(self.file.size)
    }

    /// The rows in it, without the heading.
    async fn rows(&self) -> i32 {
        int(self.file.rows)
    }

    /// A link to it for whoever has the link, made anew each time it is asked for. Null once the file is removed.
    async fn url(&self) -> Option<&str> {
        self.link.as_ref().map(|link| link.url.as_str())
    }

    /// When the link ends.
    async fn url_expires_at(&self) -> Option<DateTime> {
        at(self.link.as_ref().map(|link| link.expires_at))
    }

    /// The moment whose state it shows: what changed while it was written is not in it.
    async fn snapshot_at(&self) -> DateTime {
        self.file.snapshot_at.into()
    }

    /// When it is removed.
    async fn expires_at(&self) -> DateTime {
        self.file.expires_at.into()
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::table::ExportFormat")]
pub enum ExportFormat {
    /// Comma-separated values in UTF-8 with a byte order mark, which Excel needs. What a spreadsheet would take for a formula has an
    /// apostrophe before it, which an import takes away.
    Csv,
    /// A workbook for Excel and others like it, with typed cells and no formulas.
    Xlsx,
    /// A page for browsers, complete in itself.
    Html,
    /// Plain text: a line for each row, the cells separated by tabs.
    Text,
    /// A JSON object on each line, with the names of GraphQL's fields; everything in it is as it was.
    Jsonl,
}

/// What can be written of recipients. Where nothing is chosen: EMAIL, NAME, COMPANY, STATUS, SKIP_REASON, BOUNCE_CLASS,
/// BOUNCE_REASON, SENT_AT, DELIVERED_AT, FIRST_OPENED_AT, OPENS, FIRST_CLICKED_AT, CLICKS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "exports::RecipientColumn")]
pub enum ExportColumn {
    /// The address, as it was imported.
    Email,
    /// The person's name.
    Name,
    /// The company.
    Company,
    /// Who is responsible.
    Owner,
    /// The person's id in the CRM.
    CrmId,
    /// The sender's own id of the recipient.
    RecipientId,
    /// Further columns of the import, a JSON object.
    Attributes,
    /// The domain of the address.
    Domain,
    /// What became of it.
    Status,
    /// Why it was not sent to.
    SkipReason,
    /// Why it failed.
    BounceClass,
    /// The server's own words when it failed, with the codes.
    BounceReason,
    /// When it was sent.
    SentAt,
    /// First delivery.
    DeliveredAt,
    /// First open by a person.
    FirstOpenedAt,
    /// Last open by a person.
    LastOpenedAt,
    /// Opens by a person.
    Opens,
    /// Opens by proxies and prefetchers.
    MachineOpens,
    /// First click by a person.
    FirstClickedAt,
    /// Last click by a person.
    LastClickedAt,
    /// Clicks by a person.
    Clicks,
    /// Clicks by scanners.
    MachineClicks,
    /// First complaint.
    ComplainedAt,
    /// First time unsubscribed.
    UnsubscribedAt,
    /// How many times the campaign was sent to it.
    Attempts,
    /// Whether the address belongs to a provider's simulator.
    IsSimulator,
    /// How the address is doing in all campaigns.
    AddressHealth,
    /// Since when the address is blocked.
    BlockedAt,
    /// Why the address is blocked.
    BlockReason,
}

/// What can be written of clicks. Where nothing is chosen: EMAIL, NAME, COMPANY, URL, CLICKED_AT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "exports::ClickColumn")]
pub enum ClickExportColumn {
    /// The address, as it was imported.
    Email,
    /// The person's name.
    Name,
    /// The company.
    Company,
    /// Who is responsible.
    Owner,
    /// The person's id in the CRM.
    CrmId,
    /// The sender's own id of the recipient.
    RecipientId,
    /// What became of the recipient.
    Status,
    /// What was clicked.
    Url,
    /// When.
    ClickedAt,
}

/// What can be written of addresses. Where nothing is chosen: EMAIL, HEALTH, BLOCKED_AT, BLOCK_REASON, BLOCK_NOTE, LAST_REASON,
/// LAST_REASON_AT, CONSECUTIVE_SOFT_BOUNCES.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "exports::AddressColumn")]
pub enum AddressExportColumn {
    /// The address in lower case, its domain in ASCII.
    Email,
    /// How it is doing.
    Health,
    /// Soft bounces since the last delivery.
    ConsecutiveSoftBounces,
    /// What a server last said when it bounced.
    LastReason,
    /// When that was.
    LastReasonAt,
    /// Since when it is blocked.
    BlockedAt,
    /// Why it is blocked.
    BlockReason,
    /// Why somebody blocked it, in their words.
    BlockNote,
    /// Since when its user is known to have left the company.
    FormerEmployeeAt,
    /// When its user last reported a mail as spam.
    ComplainedAt,
    /// When its user last unsubscribed.
    UnsubscribedAt,
    /// When it was first seen.
    CreatedAt,
}

/// What can be written of complaints. Where nothing is chosen: EMAIL, NAME, COMPANY, CAMPAIGN, SENT_AT, COMPLAINED_AT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "exports::ComplaintColumn")]
pub enum ComplaintExportColumn {
    /// The address, as it was imported.
    Email,
    /// The person's name.
    Name,
    /// The company.
    Company,
    /// Who is responsible.
    Owner,
    /// The person's id in the CRM.
    CrmId,
    /// The sender's own id of the recipient.
    RecipientId,
    /// The name of the campaign.
    Campaign,
    /// What the sender calls the campaign.
    CampaignKey,
    /// When the mail was sent.
    SentAt,
    /// When it was reported as spam.
    ComplainedAt,
    /// How the address is doing.
    AddressHealth,
    /// Since when the address is blocked.
    BlockedAt,
}
/// Recipients to be written into a file.
#[derive(InputObject)]
pub struct ExportRecipientsInput {
    /// Which.
    recipients: RecipientSetInput,
    /// How.
    format: ExportFormat,
    /// What of each, in this order; the usual columns where nothing is said.
    columns: Option<Vec<ExportColumn>>,
}

/// Clicks by persons to be written into a file.
#[derive(InputObject)]
pub struct ExportClicksInput {
    /// The campaign.
    campaign_id: ID,
    /// Only those on this link.
    link_id: Option<ID>,
    /// How.
    format: ExportFormat,
    /// What of each, in this order; the usual columns where nothing is said.
    columns: Option<Vec<ClickExportColumn>>,
}

/// Addresses to be written into a file.
#[derive(InputObject)]
pub struct ExportAddressesInput {
    /// Which; all that are blocked where nothing is said.
    addresses: Option<AddressSet>,
    /// How.
    format: ExportFormat,
    /// What of each, in this order; the usual columns where nothing is said.
    columns: Option<Vec<AddressExportColumn>>,
}

/// Complaints to be written into a file.
#[derive(InputObject)]
pub struct ExportComplaintsInput {
    /// Which; all of them where nothing is said.
    filter: Option<ComplaintFilter>,
    /// How.
    format: ExportFormat,
    /// What of each, in this order; the usual columns where nothing is said.
    columns: Option<Vec<ComplaintExportColumn>>,
}

fn converted<T, U: From<T>>(columns: Option<Vec<T>>) -> Option<Vec<U>> {
    columns.map(|columns| columns.into_iter().map(U::from).collect())
}

fn campaign(id: &ID) -> Result<i64, Refusal> {
    node::campaign(id).map_err(|refusal| refusal.about(&["campaignId"]))
}

/// Begins an export of recipients.
pub(super) async fn recipients(access: &Access, input: ExportRecipientsInput) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let set = input.recipients.into_set(access).map_err(|refusal| within(&["recipients"], refusal))?;
    marketer.export_recipients(set, input.format.into(), converted(input.columns)).await
}

/// Begins an export of clicks.
pub(super) async fn clicks(access: &Access, input: ExportClicksInput) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let link = input.link_id.as_ref().map(node::link).transpose();
    let link = link.map_err(|refusal| refusal.about(&["linkId"]))?;
    marketer.export_clicks(campaign(&input.campaign_id)?, link, input.format.into(), converted(input.columns)).await
}

/// Begins an export of addresses.
pub(super) async fn addresses(access: &Access, input: ExportAddressesInput) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let set = match input.addresses {
        Some(addresses) => addresses.into_set().map_err(|refusal| within(&["addresses"], refusal))?,
        None => Addresses::Where(service::addresses::AddressFilter::default()),
    };
    marketer.export_addresses(set, input.format.into(), converted(input.columns)).await
}

/// Begins an export of complaints.
pub(super) async fn complaints(access: &Access, input: ExportComplaintsInput) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let filter = input.filter.unwrap_or_default().try_into();
    let choice = filter.map_err(|refusal| within(&["filter"], refusal))?;
    marketer.export_complaints(choice, input.format.into(), converted(input.columns)).await
}
