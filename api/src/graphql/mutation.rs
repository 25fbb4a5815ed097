//! The root of mutations.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use service::campaigns::NewCampaign;
use service::{Access, ServiceError};

use super::campaign::Campaign;
use super::errors::{Result, UserError, outcome};
use super::export::{self, ExportAddressesInput, ExportClicksInput, ExportComplaintsInput, ExportRecipientsInput};
use super::import::{self, ImportRecipientsInput};
use super::job::JobPayload;
use super::node::{self, Key};
use super::reminder::{self, ReminderRuleInput, ReminderRulePayload};
use super::resend::{self, ResendInput};
use super::scalars::DateTime;
use super::schema::access;
use super::set::AddressSet;
use super::settings::{Settings, SettingsInput, SettingsPayload};
use super::token::{ApiToken, ApiTokenInput, ApiTokenPayload, DeletePayload};
use super::words::CampaignState;

/// A campaign to be made.
#[derive(InputObject)]
pub struct CreateCampaignInput {
    /// The name by which imports and providers mean it. No other campaign may have it.
    key: String,
    /// What people call it.
    name: String,
    /// The subject of its mails.
    subject: Option<String>,
    /// Whom its mails are from.
    from_address: Option<String>,
    /// When it was sent.
    sent_at: Option<DateTime>,
    /// Where it stands; DRAFT where nothing is said. With SENT, the recipients that are imported have been sent to.
    state: Option<CampaignState>,
}

/// A campaign that was made or changed.
#[derive(SimpleObject)]
pub struct CampaignPayload {
    /// The campaign; null where it was refused.
    campaign: Option<Campaign>,
    /// Why it was refused; empty where it was not.
    user_errors: Vec<UserError>,
}

/// The root of mutations but for those about the CRM.
#[derive(Default)]
pub struct Mutation;

/// What can be changed. A refusal that a user can bring about is in `userErrors`, not in `errors`.
#[Object(name = "MainMutation")]
impl Mutation {
    /// Makes a campaign.
    async fn create_campaign(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The campaign.")] input: CreateCampaignInput,
    ) -> Result<CampaignPayload> {
        let (campaign, user_errors) = outcome(create_campaign(access(ctx)?, input).await)?;
        Ok(CampaignPayload { campaign, user_errors })
    }

    /// Cancels a campaign: who was not sent to will not be. Of one that was sent and is sent again to some, only that is called off.
    async fn cancel_campaign(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the campaign.")] id: ID,
    ) -> Result<CampaignPayload> {
        let (campaign, user_errors) = outcome(cancel_campaign(access(ctx)?, &id).await)?;
        Ok(CampaignPayload { campaign, user_errors })
    }

    /// Imports recipients into a campaign, by a job: from a file, from selections and projects, or single persons of the CRM. Importing the
    /// same twice changes nothing.
    async fn import_recipients(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to import, and where.")] input: ImportRecipientsInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(import::begin(access, input).await, access)
    }

    /// Reads the recipients of a campaign again from the selections and projects that they came from, by a job. Those who joined become
    /// recipients; those who left before they were sent to become CANCELED; addresses that are others in the CRM now are taken over where
    /// nothing was sent, or what was sent failed. What was sent stays.
    async fn reload_recipients(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the campaign.")] campaign_id: ID,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(import::reload(access, &campaign_id).await, access)
    }

    /// Has a campaign sent again to those who have not got it, by a job: they become READY, and the campaign SENDING where it was SENT.
    /// Nobody is sent to who has got it, complained, unsubscribed, or whose address is blocked; the job's result counts them by reason.
    /// Asking for the same twice sends nothing twice.
    async fn resend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which campaign, and to whom.")] input: ResendInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(resend::begin(access, input).await, access)
    }

    /// Blocks addresses until somebody clears them, by a job. Addresses that are named and not known yet are blocked beforehand.
    async fn block_addresses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which addresses.")] input: AddressSet,
        #[graphql(desc = "Why, for people.")] reason: Option<String>,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        let begun = async { access.marketer()?.block_addresses(input.into_set()?, reason).await };
        JobPayload::of(begun.await, access)
    }

    /// Forgets the bounces of addresses and lifts their blocks, by a job. Former employees and addresses that were taken out of use are only
    /// cleared where they are named, or the filter asks for that reason.
    async fn clear_bounces(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which addresses.")] input: AddressSet,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        let begun = async { access.marketer()?.clear_bounces(input.into_set()?).await };
        JobPayload::of(begun.await, access)
    }

    /// Takes addresses out of use, by a job: nobody is written to there again, and they are no longer among the blocked ones unless asked
    /// for. What became of mails to them stays; clearBounces brings them back.
    async fn delete_addresses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which addresses.")] input: AddressSet,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        let begun = async { access.marketer()?.delete_addresses(input.into_set()?).await };
        JobPayload::of(begun.await, access)
    }

    /// Marks addresses as those of people who have left their company, by a job.
    async fn mark_former_employees(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which addresses.")] input: AddressSet,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        let begun = async { access.marketer()?.mark_former_employees(input.into_set()?).await };
        JobPayload::of(begun.await, access)
    }

    /// Notes that the users of addresses have consented anew after a complaint, by a job.
    async fn restore_consent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which addresses.")] input: AddressSet,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        let begun = async { access.marketer()?.restore_consent(input.into_set()?).await };
        JobPayload::of(begun.await, access)
    }

    /// Has recipients written into a file, by a job: its result has a link to it.
    async fn export_recipients(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which recipients, and how.")] input: ExportRecipientsInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(export::recipients(access, input).await, access)
    }

    /// Has a list of who clicked which link when written into a file, by a job. Clicks by machines are not in it.
    async fn export_clicks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which clicks, and how.")] input: ExportClicksInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(export::clicks(access, input).await, access)
    }

    /// Has addresses written into a file, by a job: those that are blocked, where nothing else is said.
    async fn export_addresses(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which addresses, and how.")] input: ExportAddressesInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(export::addresses(access, input).await, access)
    }

    /// Has complaints written into a file, by a job.
    async fn export_complaints(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which complaints, and how.")] input: ExportComplaintsInput,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        JobPayload::of(export::complaints(access, input).await, access)
    }

    /// Has a job tried again that failed or was canceled; it goes on where it was left.
    async fn retry_job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the job.")] id: ID,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        let retried = async { access.marketer()?.retry_job(node::job(&id)?).await };
        JobPayload::of(retried.await, access)
    }

    /// Cancels a job. One that is running stops at its next step; what it has done by then stays done.
    async fn cancel_job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the job.")] id: ID,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        let canceled = async { access.marketer()?.cancel_job(node::job(&id)?).await };
        JobPayload::of(canceled.await, access)
    }

    /// Makes a rule for reminders, or changes the one whose `id` the input names.
    async fn save_reminder_rule(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rule.")] input: ReminderRuleInput,
    ) -> Result<ReminderRulePayload> {
        let (reminder_rule, user_errors) = outcome(reminder::save(access(ctx)?, input).await)?;
        Ok(ReminderRulePayload { reminder_rule, user_errors })
    }

    /// Deletes a rule for reminders. What it has made stays.
    async fn delete_reminder_rule(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the rule.")] id: ID,
    ) -> Result<DeletePayload> {
        let marketer = access(ctx)?.marketer()?;
        let deleted = async { marketer.delete_reminder_rule(node::reminder_rule(&id)?).await };
        let (deleted, user_errors) = outcome(deleted.await)?;
        Ok(DeletePayload { deleted_id: deleted.map(|()| id), user_errors })
    }

    /// Makes the reminders of a rule now, by a job, whatever its hours are: for those who are due. Where such a job is waiting or at
    /// work, it is that one.
    async fn run_reminder_now(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the rule.")] rule_id: ID,
    ) -> Result<JobPayload> {
        let access = access(ctx)?;
        let asked = async {
            let marketer = access.marketer()?;
            let rule = node::reminder_rule(&rule_id).map_err(|refusal| refusal.about(&["ruleId"]))?;
            marketer.run_reminder_now(rule).await
        };
        JobPayload::of(asked.await, access)
    }

    /// Makes an API token. For admins.
    async fn create_api_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token.")] input: ApiTokenInput,
    ) -> Result<ApiTokenPayload> {
        let admin = access(ctx)?.admin()?;
        let expires_at = input.expires_at.map(|at| at.0);
        let (made, user_errors) = outcome(admin.create_token(&input.name, input.role.into(), expires_at).await)?;
        let (token, secret) = made.unzip();
        let secret = secret.map(|secret| secret.expose().to_owned());
        Ok(ApiTokenPayload { api_token: token.map(ApiToken), secret, user_errors })
    }

    /// Ends an API token at once. For admins.
    async fn revoke_api_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the token.")] id: ID,
    ) -> Result<DeletePayload> {
        let admin = access(ctx)?.admin()?;
        let revoked = async { admin.revoke_token(node::token(&id)?).await };
        let (token, user_errors) = outcome(revoked.await)?;
        Ok(DeletePayload { deleted_id: token.map(|token| Key::Token(token.id).id()), user_errors })
    }

    /// Changes what holds for all campaigns. Where the rules for bounces change, a job judges the addresses anew. For admins.
    async fn update_settings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change; what is left out stays as it is.")] input: SettingsInput,
    ) -> Result<SettingsPayload> {
        let admin = access(ctx)?.admin()?;
        let (settings, user_errors) = outcome(admin.update_settings(input.into()).await)?;
        Ok(SettingsPayload { settings: settings.map(Settings::from), user_errors })
    }
}

async fn create_campaign(access: &Access, input: CreateCampaignInput) -> service::Result<Campaign> {
    let campaign = NewCampaign {
        key: input.key,
        name: input.name,
        subject: input.subject,
        from_address: input.from_address,
        sent_at: input.sent_at.map(|at| at.0),
        state: input.state.unwrap_or(CampaignState::Draft).into(),
    };
    let made = access.marketer()?.create_campaign(campaign).await?;
    read_again(access, made.id).await
}

async fn cancel_campaign(access: &Access, id: &ID) -> service::Result<Campaign> {
    let marketer = access.marketer()?;
    let id = node::campaign(id)?;
    let canceled = marketer.cancel_campaign(id).await.map_err(|error| match error {
        ServiceError::Refused(refusal) => refusal.about(&["id"]).into(),
        fault => fault,
    })?;
    read_again(access, canceled.id).await
}

/// The campaign as it is now. Not by a loader: that keeps what it read before another mutation of the same request.
async fn read_again(access: &Access, id: i64) -> service::Result<Campaign> {
    let row = access.reader().campaign(id).await?;
    Ok(row
        .ok_or_else(|| ServiceError::Inconsistent(format!("campaign {id} is gone as soon as it was changed")))?
        .into())
}
