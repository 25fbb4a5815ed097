//! Importing recipients.

use async_graphql::{Enum, ID, InputObject};
use service::import::members::Members;
use service::import::{self, Mapping};
use service::jobs;
use service::{Access, Refusal};

use super::errors::invalid;
use super::node;

/// What to import, and where.
#[derive(InputObject)]
pub struct ImportRecipientsInput {
    /// The campaign.
    campaign_id: ID,
    /// The file: what `POST /uploads` answered.
    upload_id: Option<ID>,
    /// Selections whose members become recipients. They are kept as where the campaign's recipients come from: see `reloadRecipients`.
    selection_ids: Option<Vec<ID>>,
    /// Projects whose members become recipients; kept as well.
    project_ids: Option<Vec<ID>>,
    /// Persons of the CRM who become recipients; 10,000 at most.
    person_ids: Option<Vec<ID>>,
    /// The subscription without which nobody of these lists and persons is written to, where the CRM keeps subscriptions: the others are
    /// skipped with NO_SUBSCRIPTION.
    subscription: Option<String>,
    /// How the file is written; found out where nothing is said.
    format: Option<ImportFormat>,
    /// What columns mean whose names do not tell.
    mapping: Option<Vec<ColumnMapping>>,
}

/// How the records of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "import::Format")]
pub enum ImportFormat {
    /// A header line and cells, separated by commas, semicolons or tabs.
    Csv,
    /// A JSON object on each line.
    #[graphql(name = "JSONL")]
    JsonLines,
}

/// What a column of a file means.
#[derive(InputObject)]
pub struct ColumnMapping {
    /// The name of the column in the header line.
    column: String,
    /// What it means.
    field: ImportField,
}

/// What a column of an import can mean. Any other column is kept as an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "import::Field")]
pub enum ImportField {
    /// The address.
    Email,
    /// The whole name.
    Name,
    /// The first name; used where there is no column with the whole name.
    FirstName,
    /// The last name; used where there is no column with the whole name.
    LastName,
    /// The company.
    Company,
    /// Who is responsible for the person.
    Owner,
    /// The person's id in the CRM.
    CrmId,
    /// The sender's own id of the recipient.
    RecipientId,
    /// The provider's id of the message.
    MessageId,
}

/// Begins an import.
pub(super) async fn begin(access: &Access, input: ImportRecipientsInput) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let campaign = node::campaign(&input.campaign_id).map_err(|refusal| refusal.about(&["campaignId"]))?;
    let selections = ids("selectionIds", input.selection_ids, node::selection)?;
    let projects = ids("projectIds", input.project_ids, node::project)?;
    let persons = ids("personIds", input.person_ids, node::person)?;
    let mut mapping = Mapping::new();
    for ColumnMapping { column, field } in input.mapping.unwrap_or_default() {
        if mapping.insert(field.into(), column).is_some() {
            return Err(invalid("mapping", "two columns cannot mean the same").into());
        }
    }
    let format = input.format.map(Into::into);
    if selections.is_empty() && projects.is_empty() && persons.is_empty() {
        let upload = input.upload_id.ok_or_else(|| invalid("uploadId", "say which upload, or whom, to import"))?;
        return marketer.import_recipients(campaign, upload.as_str(), format, mapping).await;
    }
    let upload = input.upload_id.map(|id| (id.0, format, mapping));
    let members = Members { selections, projects, persons, subscription: input.subscription, upload };
    marketer.import_members(campaign, members).await
}

/// What the ids in a field stand for.
fn ids(field: &str, ids: Option<Vec<ID>>, read: impl Fn(&ID) -> Result<i64, Refusal>) -> Result<Vec<i64>, Refusal> {
    let read = |id: &ID| read(id).map_err(|refusal| refusal.about(&[field]));
    ids.unwrap_or_default().iter().map(read).collect()
}

/// Has the recipients of a campaign read from their lists again.
pub(super) async fn reload(access: &Access, campaign: &ID) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let campaign = node::campaign(campaign).map_err(|refusal| refusal.about(&["campaignId"]))?;
    marketer.reload_recipients(campaign).await
}
