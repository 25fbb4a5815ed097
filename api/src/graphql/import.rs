//! Importing recipients.

use async_graphql::{Enum, ID, InputObject};
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
    /// Selections to take the recipients from. There are none yet: give an upload.
    selection_ids: Option<Vec<ID>>,
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
    let campaign = node::campaign(&input.campaign_id)
        .map_err(|refusal| Refusal { field: vec!["campaignId".to_owned()], ..refusal })?;
    if input.selection_ids.is_some_and(|ids| !ids.is_empty()) {
        return Err(
            invalid("selectionIds", "there are no selections yet: upload a file, and name it in uploadId").into()
        );
    }
    let upload = input.upload_id.ok_or_else(|| invalid("uploadId", "say which upload is to be imported"))?;
    let mut mapping = Mapping::new();
    for ColumnMapping { column, field } in input.mapping.unwrap_or_default() {
        if mapping.insert(field.into(), column).is_some() {
            return Err(invalid("mapping", "two columns cannot mean the same").into());
        }
    }
    marketer.import_recipients(campaign, upload.as_str(), input.format.map(Into::into), mapping).await
}
