//! Reporting whom a rule reminds as a selection of the CRM.

use domain::campaign::CampaignState;
use domain::crm::ListKind;

use super::adding::Adding;
use super::child::name;
use crate::access::Services;
use crate::crm::members;
use crate::crm::source::Source;
use crate::db::{execute, query_all, query_one};
use crate::error::Result;

/// Has those who are new in the reminders of the campaign become members of the selections of these, by a job for each, and says whether
/// there is one. What is not to be seen in the CRM yet is looked for in the tables, so that nothing is forgotten when a run before ended early.
///
/// A selection is what the action `SELECTION` is about. A campaign that reminds of another is reported as one where the CRM knows anybody;
/// until then it stays unreported.
pub(super) async fn report(adding: &Adding<'_>, services: &Services, selections: &mut Vec<i64>) -> Result<bool> {
    let Adding { transaction, rule, campaign, .. } = adding;
    let sql = format!(
        "UPDATE reminder SET is_unreported = FALSE WHERE rule_id = $1 AND campaign_id = $2 AND is_unreported \
         AND (child_id IS NULL OR EXISTS (SELECT 1 FROM person WHERE person.deleted_at IS NULL)) \
         AND NOT EXISTS (SELECT 1 FROM campaign c WHERE c.id = reminder.child_id AND c.state = {}) \
         RETURNING round, selection_id",
        CampaignState::Canceled.code()
    );
    let rows = query_all(*transaction, &sql, [rule.id, campaign.id].map(Into::into)).await?;
    for row in &rows {
        let (round, known): (i64, Option<i64>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let (selection, is_new) = match known {
            Some(selection) if is_there(adding, selection).await? => (selection, false),
            _ => (make(adding, services, round).await?, true),
        };
        let persons = Source::Reminded { rule: rule.id, campaign: campaign.id, round };
        let adds = members::Order::add(ListKind::Selection, selection, is_new, persons);
        members::order(*transaction, services, adding.subject, adds).await?;
        if !selections.contains(&selection) {
            selections.push(selection);
        }
    }
    Ok(!rows.is_empty())
}

/// Whether the selection was not deleted in the CRM meanwhile.
async fn is_there(adding: &Adding<'_>, selection: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM selection WHERE id = $1 AND deleted_at IS NULL";
    Ok(query_one(adding.transaction, sql, [selection.into()]).await?.is_some())
}

/// Notes the selection of a round down, as one that is to be made.
async fn make(adding: &Adding<'_>, services: &Services, round: i64) -> Result<i64> {
    let Adding { transaction, rule, campaign, subject, .. } = adding;
    let name = name(rule, campaign, round, members::MAX_NAME);
    let description = format!("Reminder {round} by the rule \"{}\"", rule.name);
    let description = Some(description.chars().take(members::MAX_DESCRIPTION).collect());
    let selection =
        members::insert(*transaction, services, ListKind::Selection, &name, description, &subject.id).await?;
    let sql = "UPDATE reminder SET selection_id = $4 WHERE rule_id = $1 AND campaign_id = $2 AND round = $3";
    execute(*transaction, sql, [rule.id, campaign.id, round, selection].map(Into::into)).await?;
    Ok(selection)
}
