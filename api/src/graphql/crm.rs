//! What can be asked for and ordered about the CRM: selections, projects, tasks.

use async_graphql::{Context, ID, InputObject, Object};
use domain::crm::ListKind;
use service::crm::follow_ups::{self, Wish};
use service::crm::members::Target;
use service::crm::{ListQuery, Persons};
use service::{Access, Refusal, jobs};

use super::complaint::ComplaintFilter;
use super::connection::{Connection, page_args};
use super::cost::{condition_cost, page_cost, search_cost, turn};
use super::crm_state::Crm;
use super::errors::{Result, invalid, outcome};
use super::follow_up::{FollowUp, FollowUpFilter, FollowUpPayload, FollowUpScope, FollowUps};
use super::job::JobPayload;
use super::node;
use super::person_list::{Project, Projects, Selection, Selections};
use super::scalars::Date;
use super::schema::{access, reader};
use super::set::{AddressSet, RecipientSetInput, within};
use super::words::SelectionKind;

/// A selection to be made.
#[derive(InputObject)]
pub struct NewSelectionInput {
    /// What it shall be called.
    name: String,
    /// What it is for.
    description: Option<String>,
}

/// A project to be made.
#[derive(InputObject)]
pub struct NewProjectInput {
    /// What it shall be called.
    name: String,
    /// What it is for.
    description: Option<String>,
}

/// Who is added to which selection: exactly one of the first three, exactly one of the last two.
#[derive(InputObject)]
pub struct AddToSelectionInput {
    /// The persons that these recipients are.
    recipients: Option<RecipientSetInput>,
    /// All persons who have these addresses.
    addresses: Option<AddressSet>,
    /// The persons who reported mails as spam.
    complaints: Option<ComplaintFilter>,
    /// The selection.
    selection_id: Option<ID>,
    /// A selection to be made.
    new_selection: Option<NewSelectionInput>,
}

/// Who is removed from which selection: exactly one of the first three.
#[derive(InputObject)]
pub struct RemoveFromSelectionInput {
    /// The persons that these recipients are.
    recipients: Option<RecipientSetInput>,
    /// All persons who have these addresses.
    addresses: Option<AddressSet>,
    /// The persons who reported mails as spam.
    complaints: Option<ComplaintFilter>,
    /// The selection.
    selection_id: ID,
}

/// Who is added to which project: exactly one of the first three, exactly one of the last two.
#[derive(InputObject)]
pub struct AddToProjectInput {
    /// The persons that these recipients are.
    recipients: Option<RecipientSetInput>,
    /// All persons who have these addresses.
    addresses: Option<AddressSet>,
    /// The persons who reported mails as spam.
    complaints: Option<ComplaintFilter>,
    /// The project.
    project_id: Option<ID>,
    /// A project to be made.
    new_project: Option<NewProjectInput>,
}

/// Which tasks are made for whom.
#[derive(InputObject)]
pub struct CreateFollowUpsInput {
    /// The recipients.
    recipients: RecipientSetInput,
    /// What is to be done; 200 characters at most.
    title: String,
    /// More about it.
    description: Option<String>,
    /// The day on which the tasks are due; without one they are to be done some time.
    due_date: Option<Date>,
    /// For whom there is one task each.
    #[graphql(default_with = "FollowUpScope::Person")]
    per: FollowUpScope,
}

/// What can be asked for about the CRM.
#[derive(Default)]
pub struct CrmQuery;

#[Object]
impl CrmQuery {
    /// The CRM, and how far it has been read.
    async fn crm(&self, ctx: &Context<'_>) -> Result<Crm> {
        Ok(Crm(reader(ctx)?.crm_state().await?))
    }

    /// Selections: lists of persons in the CRM, those that were known last first.
    #[graphql(complexity = "page_cost(first, None, child_complexity) + search_cost(search.as_ref())")]
    async fn selections(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those whose members are chosen so.")] kind: Option<SelectionKind>,
        #[graphql(desc = "A text in the name.")] search: Option<String>,
        #[graphql(desc = "So many; 50 where nothing is said, 500 at most.")] first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<Selections>> {
        let _turn = turn(ctx, search.is_some()).await;
        let query = ListQuery { list: ListKind::Selection, kind: kind.map(Into::into), search };
        let page = reader(ctx)?.person_lists(&query, &page_args(first, after, None, None)).await?;
        Ok(Connection::new(Selections(query), page.map(Selection)))
    }

    /// Projects of the CRM, those that were known last first.
    #[graphql(complexity = "page_cost(first, None, child_complexity) + search_cost(search.as_ref())")]
    async fn projects(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A text in the name.")] search: Option<String>,
        #[graphql(desc = "So many; 50 where nothing is said, 500 at most.")] first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<Projects>> {
        let _turn = turn(ctx, search.is_some()).await;
        let query = ListQuery { list: ListKind::Project, kind: None, search };
        let page = reader(ctx)?.person_lists(&query, &page_args(first, after, None, None)).await?;
        Ok(Connection::new(Projects(query), page.map(Project)))
    }

    /// Tasks for those who are responsible for persons, the latest first.
    #[graphql(complexity = "page_cost(first, None, child_complexity) + condition_cost(filter.as_ref())")]
    async fn follow_ups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them.")] filter: Option<FollowUpFilter>,
        #[graphql(desc = "So many; 50 where nothing is said, 500 at most.")] first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<FollowUps>> {
        let filter = filter.unwrap_or_default().try_into().map_err(|refusal| within(&["filter"], refusal))?;
        let page = reader(ctx)?.follow_ups(&filter, &page_args(first, after, None, None)).await?;
        Ok(Connection::new(FollowUps(filter), page.map(FollowUp)))
    }
}

/// What can be ordered in the CRM.
#[derive(Default)]
pub struct CrmMutation;

#[Object]
impl CrmMutation {
    /// Adds persons to a selection, a new one or one that is there, by a job. Who is not in the CRM is left out, and counted in the job's
    /// result; who is on it already is not added again.
    async fn add_to_selection(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and to which one.")] input: AddToSelectionInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(add_to_selection(access, input).await, access)
    }

    /// Removes persons from a selection, by a job.
    async fn remove_from_selection(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and from which one.")] input: RemoveFromSelectionInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(remove_from_selection(access, input).await, access)
    }

    /// Adds persons to a project, a new one or one that is there, by a job, as `addToSelection` does.
    async fn add_to_project(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who, and to which one.")] input: AddToProjectInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(add_to_project(access, input).await, access)
    }

    /// Makes tasks in the diaries of those who are responsible for recipients, by a job. Of a campaign, a person or company and a title
    /// there is one task, however often this is ordered.
    async fn create_follow_ups(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tasks, for whom.")] input: CreateFollowUpsInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(create_follow_ups(access, input).await, access)
    }

    /// Says that a task is done, or is not.
    async fn set_follow_up_done(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the task.")] id: ID,
        #[graphql(desc = "Whether it is done.", default = true)] done: bool,
    ) -> Result<FollowUpPayload> {
        let access = access(ctx)?;
        let changed = async { access.marketer()?.set_follow_up_done(node::follow_up(&id)?, done).await };
        let (follow_up, user_errors) = outcome(changed.await)?;
        Ok(FollowUpPayload { follow_up: follow_up.map(FollowUp), user_errors })
    }

    /// Reads selections from the CRM now, rather than at the next tick, by a job. Without ids: all that are used here, and the persons
    /// and projects that changed.
    async fn sync_selections(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global ids of the selections.")] selection_ids: Option<Vec<ID>>,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        let begun = async {
            let ids = selection_ids.map(|ids| ids.iter().map(node::selection).collect::<Result<Vec<_>, _>>());
            let marketer = access.marketer()?;
            let ids = ids.transpose().map_err(|refusal| refusal.about(&["selectionIds"]))?;
            marketer.sync_selections(ids).await
        };
        JobPayload::of(begun.await, access)
    }
}

/// The persons that an input means.
fn persons(
    access: &Access,
    recipients: Option<RecipientSetInput>,
    addresses: Option<AddressSet>,
    complaints: Option<ComplaintFilter>,
) -> Result<Persons, Refusal> {
    match (recipients, addresses, complaints) {
        (Some(set), None, None) => {
            let set = set.into_set(access).map_err(|refusal| within(&["recipients"], refusal))?;
            Ok(Persons::Recipients(set))
        }
        (None, Some(set), None) => {
            Ok(Persons::Addresses(set.into_set().map_err(|refusal| within(&["addresses"], refusal))?))
        }
        (None, None, Some(filter)) => {
            Ok(Persons::Complaints(filter.try_into().map_err(|refusal| within(&["complaints"], refusal))?))
        }
        _ => Err(invalid("input", "say who: by recipients, by addresses, or by complaints; exactly one of them")),
    }
}

async fn add_to_selection(access: &Access, input: AddToSelectionInput) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let persons = persons(access, input.recipients, input.addresses, input.complaints)?;
    let target = match (input.selection_id, input.new_selection) {
        (Some(id), None) => Target::Existing(node::selection(&id).map_err(|refusal| refusal.about(&["selectionId"]))?),
        (None, Some(NewSelectionInput { name, description })) => Target::New { name, description },
        _ => return Err(invalid("input", "give selectionId, or newSelection: exactly one of them").into()),
    };
    marketer.add_to_list(ListKind::Selection, persons, target).await
}

async fn remove_from_selection(access: &Access, input: RemoveFromSelectionInput) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let persons = persons(access, input.recipients, input.addresses, input.complaints)?;
    let selection = node::selection(&input.selection_id).map_err(|refusal| refusal.about(&["selectionId"]))?;
    marketer.remove_from_selection(persons, selection).await
}

async fn add_to_project(access: &Access, input: AddToProjectInput) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let persons = persons(access, input.recipients, input.addresses, input.complaints)?;
    let target = match (input.project_id, input.new_project) {
        (Some(id), None) => Target::Existing(node::project(&id).map_err(|refusal| refusal.about(&["projectId"]))?),
        (None, Some(NewProjectInput { name, description })) => Target::New { name, description },
        _ => return Err(invalid("input", "give projectId, or newProject: exactly one of them").into()),
    };
    marketer.add_to_list(ListKind::Project, persons, target).await
}

async fn create_follow_ups(access: &Access, input: CreateFollowUpsInput) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let recipients = input.recipients.into_set(access).map_err(|refusal| within(&["recipients"], refusal))?;
    let link = marketer.public_url().zip(recipients.campaign()).map(|(url, id)| follow_ups::campaign_link(url, id));
    let wish = Wish {
        title: input.title,
        description: input.description,
        due: input.due_date.map(|date| date.0),
        per: input.per.into(),
        link,
    };
    marketer.create_follow_ups(recipients, wish).await
}
