//! Corrections of addresses: suggested, decided on, pushed to the CRM.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use service::corrections::{self, NewCorrection};
use service::recipients::paging::Count;
use service::{Access, Refusal};

use super::connection::{Connection, List, page_args};
use super::cost::{condition_cost, page_cost, search_cost, turn};
use super::errors::{Result, UserError, invalid, outcome};
use super::import::ImportFormat;
use super::job::JobPayload;
use super::loaders::{PersonId, loaders};
use super::node::{self, Key};
use super::person::Person;
use super::scalars::{DateTime, EmailAddress, at, int};
use super::schema::{access, reader};
use super::set::within;
use super::words::{CorrectionSource, CorrectionState, PushState, SuggestionReason};

/// Another address in place of one.
pub struct Correction(pub(super) corrections::Correction);

/// Another address in place of one: suggested, or decided. Who may not see personal data sees `•••` for the addresses.
#[Object]
impl Correction {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::Correction(self.0.id).id()
    }

    /// The address that is wrong; it need not be a valid one.
    async fn old_email(&self) -> &str {
        &self.0.old_email
    }

    /// The address instead.
    async fn new_email(&self) -> &str {
        &self.0.new_email
    }

    /// The person of the CRM whose address it is; null where there is none.
    #[graphql(complexity = "5 + child_complexity")]
    async fn person(&self, ctx: &Context<'_>) -> Result<Option<Person>> {
        let Some(person) = self.0.person_id else { return Ok(None) };
        Ok(loaders(ctx)?.load_one(PersonId(person)).await?.map(Person))
    }

    /// Where it stands.
    async fn state(&self) -> CorrectionState {
        self.0.state.into()
    }

    /// Where it comes from.
    async fn source(&self) -> CorrectionSource {
        self.0.source.into()
    }

    /// Why it was suggested; null where it was not.
    async fn suggestion(&self) -> Option<SuggestionReason> {
        self.0.suggestion.map(Into::into)
    }

    /// How sure the suggestion is, in percent.
    async fn confidence(&self) -> Option<i32> {
        self.0.confidence.map(i32::from)
    }

    /// What people said about it.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// What has become of it in the CRM.
    async fn push(&self) -> PushState {
        self.0.push.into()
    }

    /// Why the CRM does not take it. Who may not see personal data sees `•••`.
    async fn push_error(&self) -> Option<&str> {
        self.0.push_error.as_deref()
    }

    /// What the CRM has instead, where that is a conflict: `resolveConflict` decides which one holds.
    async fn crm_email(&self) -> Option<&str> {
        self.0.crm_email.as_deref()
    }

    /// Who wrote it down, as in the audit log: `user:1`, `system`.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Who decided on it.
    async fn decided_by(&self) -> Option<&str> {
        self.0.decided_by.as_deref()
    }

    /// When.
    async fn decided_at(&self) -> Option<DateTime> {
        at(self.0.decided_at)
    }
}

/// Which corrections. The fields are joined by AND.
#[derive(Default, InputObject)]
pub struct CorrectionFilter {
    /// In one of these states.
    state: Option<Vec<CorrectionState>>,
    /// From one of these sources.
    source: Option<Vec<CorrectionSource>>,
    /// Suggested for one of these reasons.
    reason: Option<Vec<SuggestionReason>>,
    /// Of which one of these has become in the CRM: `FAILED` are those that it does not take.
    push: Option<Vec<PushState>>,
    /// Of addresses that recipients of this campaign have, or had.
    campaign_id: Option<ID>,
    /// A text in one of the addresses. Only for those who may see personal data.
    search: Option<String>,
}

impl TryFrom<CorrectionFilter> for corrections::CorrectionFilter {
    type Error = Refusal;

    fn try_from(filter: CorrectionFilter) -> Result<Self, Refusal> {
        let campaign = filter.campaign_id.as_ref().map(node::campaign).transpose();
        Ok(Self {
            states: filter.state.unwrap_or_default().into_iter().map(Into::into).collect(),
            sources: filter.source.unwrap_or_default().into_iter().map(Into::into).collect(),
            reasons: filter.reason.unwrap_or_default().into_iter().map(Into::into).collect(),
            pushes: filter.push.unwrap_or_default().into_iter().map(Into::into).collect(),
            campaign: campaign.map_err(|refusal| refusal.about(&["campaignId"]))?,
            search: filter.search,
        })
    }
}

/// The corrections that a filter finds.
pub struct Corrections(pub(super) corrections::CorrectionFilter);

impl List for Corrections {
    type Node = Correction;
    const CONNECTION: &'static str = "CorrectionConnection";
    const EDGE: &'static str = "CorrectionEdge";

    async fn count(&self, ctx: &Context<'_>, max: i64) -> Result<Count> {
        Ok(reader(ctx)?.count_corrections(&self.0, max).await?)
    }
}

/// A line of a file of corrections that corrected nothing.
#[derive(SimpleObject)]
pub struct CorrectionIssue {
    /// Its number in the file, from 1.
    line: i32,
    /// What stands there: its beginning, where it is long.
    text: String,
    /// Why it corrected nothing.
    reason: String,
}

/// A correction that was made or changed.
#[derive(SimpleObject)]
pub struct CorrectionPayload {
    /// The correction; null where it was refused.
    correction: Option<Correction>,
    /// Why it was refused; empty where it was not.
    user_errors: Vec<UserError>,
}

impl CorrectionPayload {
    fn of(result: service::Result<corrections::Correction>) -> Result<Self> {
        let (correction, user_errors) = outcome(result)?;
        Ok(Self { correction: correction.map(Correction), user_errors })
    }
}

/// A correction by hand.
#[derive(InputObject)]
pub struct CorrectAddressInput {
    /// The address that is wrong. Either this or `recipientId`.
    old_email: Option<EmailAddress>,
    /// A recipient whose address is wrong, also where it is none at all.
    recipient_id: Option<ID>,
    /// The address instead. One that is blocked is refused.
    new_email: EmailAddress,
    /// The person of the CRM whose address it is; found by the address where nothing is said.
    person_id: Option<ID>,
    /// Why, for people; 500 characters at most.
    reason: Option<String>,
}

/// A file of corrections.
#[derive(InputObject)]
pub struct ImportCorrectionsInput {
    /// The file: what `POST /uploads` answered. CSV with the columns `old` and `new` (or `alt` and `neu`) and perhaps `reason`, or without
    /// a header the old address and the new one; or JSON Lines.
    upload_id: ID,
    /// How the file is written; found out where nothing is said.
    format: Option<ImportFormat>,
}

/// Which address holds where the CRM has another one than we.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "corrections::ConflictSide")]
pub enum ConflictSide {
    /// Ours: the CRM is told to take it in place of what it has.
    Ours,
    /// The CRM's: our recipients take it.
    Crm,
}

/// What finding corrections costs.
fn corrections_cost(filter: Option<&CorrectionFilter>) -> usize {
    condition_cost(filter) + search_cost(filter.and_then(|filter| filter.search.as_ref()))
}

/// What can be asked for about corrections.
#[derive(Default)]
pub struct CorrectionQuery;

#[Object]
impl CorrectionQuery {
    /// Corrections of addresses, the latest first.
    #[graphql(complexity = "page_cost(first, None, child_complexity) + corrections_cost(filter.as_ref())")]
    async fn corrections(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them.")] filter: Option<CorrectionFilter>,
        #[graphql(desc = "So many; 50 where nothing is said, 500 at most.")] first: Option<i32>,
        #[graphql(desc = "Only what stands behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<Corrections>> {
        let _turn = turn(ctx, filter.as_ref().is_some_and(|filter| filter.search.is_some())).await;
        let filter = filter.unwrap_or_default().try_into().map_err(|refusal| within(&["filter"], refusal))?;
        let page = reader(ctx)?.corrections(&filter, &page_args(first, after, None, None)).await?;
        Ok(Connection::new(Corrections(filter), page.map(Correction)))
    }

    /// The lines of a file of corrections that corrected nothing, in their order. Only for those who may see personal data.
    #[graphql(complexity = "page_cost(Some(first), None, child_complexity)")]
    async fn correction_issues(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the job of `importCorrections`.")] job_id: ID,
        #[graphql(desc = "So many; 500 at most.", default = 50)] first: i32,
        #[graphql(desc = "Only what stands behind this line.", default = 0)] after: i32,
    ) -> Result<Vec<CorrectionIssue>> {
        let marketer = access(ctx)?.marketer()?;
        let limit = u32::try_from(first).ok().filter(|limit| *limit <= 500);
        let limit =
            limit.ok_or_else(|| invalid("first", format!("first must be between 0 and 500, and is {first}")))?;
        let job = node::job(&job_id).map_err(|refusal| refusal.about(&["jobId"]))?;
        let issues = marketer.correction_issues(job, after.into(), limit).await?;
        let shown = |issue: corrections::FileIssue| CorrectionIssue {
            line: int(issue.line),
            text: issue.content,
            reason: issue.reason,
        };
        Ok(issues.into_iter().map(shown).collect())
    }
}

/// What can be done about corrections.
#[derive(Default)]
pub struct CorrectionMutation;

#[Object]
impl CorrectionMutation {
    /// Corrects an address. Recipients who are still to be sent to, and those to whom it was sent in vain, take the new one by a job; the
    /// CRM is told. Refused where the new address is the old one or blocked, or where nobody has the old one.
    async fn correct_address(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which address instead of which.")] input: CorrectAddressInput,
    ) -> Result<CorrectionPayload> {
        CorrectionPayload::of(correct(access(ctx)?, input).await)
    }

    /// Corrects addresses as a file says, by a job. The same file twice changes nothing. `correctionIssues` are the lines that corrected
    /// nothing.
    async fn import_corrections(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file.")] input: ImportCorrectionsInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        let begun = async {
            access.marketer()?.import_corrections(input.upload_id.as_str(), input.format.map(Into::into)).await
        };
        JobPayload::of(begun.await, access)
    }

    /// Applies a suggestion, as `correctAddress` does.
    async fn accept_suggestion(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the suggestion.")] correction_id: ID,
    ) -> Result<CorrectionPayload> {
        let marketer = access(ctx)?.marketer()?;
        CorrectionPayload::of(async { marketer.accept_suggestion(correction(&correction_id)?).await }.await)
    }

    /// Says that a suggestion is wrong: it is not made again.
    async fn reject_suggestion(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the suggestion.")] correction_id: ID,
    ) -> Result<CorrectionPayload> {
        let marketer = access(ctx)?.marketer()?;
        CorrectionPayload::of(async { marketer.reject_suggestion(correction(&correction_id)?).await }.await)
    }

    /// Decides which address holds where the CRM has another one than we.
    async fn resolve_conflict(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the correction.")] correction_id: ID,
        #[graphql(desc = "Which address holds.")] keep: ConflictSide,
    ) -> Result<CorrectionPayload> {
        let marketer = access(ctx)?.marketer()?;
        CorrectionPayload::of(async { marketer.resolve_conflict(correction(&correction_id)?, keep.into()).await }.await)
    }

    /// Looks for addresses that may be written wrongly now, instead of in the night, by a job. Nothing is applied by itself. Where such a
    /// job is waiting or at work, it is that one.
    async fn suggest_corrections(&self, ctx: &Context<'_>) -> Result<JobPayload> {
        let access = access(ctx)?;
        let asked = async { access.marketer()?.suggest_corrections().await };
        JobPayload::of(asked.await, access)
    }
}

async fn correct(access: &Access, input: CorrectAddressInput) -> service::Result<corrections::Correction> {
    let marketer = access.marketer()?;
    let person = input.person_id.as_ref().map(node::person).transpose();
    let person = person.map_err(|refusal| refusal.about(&["personId"]))?;
    let new = input.new_email.read(&["newEmail"])?;
    let old = match (input.old_email, &input.recipient_id) {
        (Some(email), None) => email.read(&["oldEmail"])?.as_str().to_owned(),
        (None, Some(id)) => {
            let key = node::recipient(id).map_err(|refusal| refusal.about(&["recipientId"]))?;
            marketer.written_address(key).await?
        }
        _ => return Err(invalid("oldEmail", "give oldEmail or recipientId: exactly one of them").into()),
    };
    marketer.correct_address(NewCorrection { old, new, person, reason: input.reason }).await
}

fn correction(id: &ID) -> Result<i64, Refusal> {
    node::correction(id).map_err(|refusal| refusal.about(&["correctionId"]))
}
