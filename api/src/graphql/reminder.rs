//! Reminders: their rules, and what these would do.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::Weekday;
use domain::crm::ListKind;
use domain::reminder::SendWindow as Window;
use service::Access;
use service::reminders::{self, NotEligible, Preview, Reminded, ReminderTerms, Scope};

use super::campaign::Campaign;
use super::errors::{Result, UserError, outcome};
use super::job_result::JobResult;
use super::loaders::ListId;
use super::node::{self, Key};
use super::recipient::Recipient;
use super::scalars::{DateTime, at, int};
use super::schema::reader;
use super::skipped::SkippedCount;
use super::words::{ReminderAction, ReminderAudience};

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Weekday")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

const EVERY_DAY: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

/// Hours of the day, by the clocks of a time zone.
#[derive(InputObject)]
pub struct TimeWindow {
    /// From this time of day on: `08:00`.
    from: String,
    /// Before this time of day, which is later than `from`: `18:00`.
    to: String,
    /// On these days; on all of them where nothing is said.
    days: Option<Vec<Day>>,
}

/// A rule to be made, changed or tried out.
#[derive(InputObject)]
pub struct ReminderRuleInput {
    /// The rule to be changed; a new one where nothing is said.
    id: Option<ID>,
    /// What people call it.
    name: String,
    /// The campaign to remind of. Either this or `campaignNamePattern`.
    campaign_id: Option<ID>,
    /// The names of the campaigns to remind of: `*` stands for any characters, `?` for one; the case of letters does not matter. Only
    /// campaigns that were sent, and that do not remind of others themselves.
    campaign_name_pattern: Option<String>,
    /// Hours since the mail went out, or the reminder before it: 0 to 8,760.
    #[graphql(default = 72)]
    after_hours: i32,
    /// Who.
    #[graphql(default_with = "ReminderAudience::NoHumanSignal")]
    audience: ReminderAudience,
    /// How often at most somebody is reminded of the same campaign: 1 to 10.
    #[graphql(default = 1)]
    max_reminders: i32,
    /// By the clocks of which time zone `sendBetween` is meant.
    #[graphql(default = "Europe/Berlin")]
    time_zone: String,
    /// In which hours reminders are made; at any time where nothing is said.
    send_between: Option<TimeWindow>,
    /// What is made of those who are due.
    #[graphql(default_with = "ReminderAction::NewCampaign")]
    action: ReminderAction,
    /// What stands before the subject of the reminder, and before its name.
    subject_prefix: Option<String>,
    /// Whether the schedule sees to it.
    #[graphql(default = true)]
    enabled: bool,
}

impl ReminderRuleInput {
    /// Which rule it is about, and what it says.
    fn into_terms(self) -> service::Result<(Option<i64>, ReminderTerms)> {
        let rule = self.id.as_ref().map(node::reminder_rule).transpose()?;
        let campaign = self.campaign_id.as_ref().map(node::campaign).transpose();
        let days = |days: Option<Vec<Day>>| {
            days.map_or_else(|| EVERY_DAY.to_vec(), |days| days.into_iter().map(Into::into).collect())
        };
        let terms = ReminderTerms {
            name: self.name,
            campaign: campaign.map_err(|refusal| refusal.about(&["campaignId"]))?,
            pattern: self.campaign_name_pattern,
            after_hours: self.after_hours,
            audience: self.audience.into(),
            max_reminders: self.max_reminders,
            time_zone: self.time_zone,
            window: self.send_between.map(|window| (window.from, window.to, days(window.days))),
            action: self.action.into(),
            subject_prefix: self.subject_prefix,
            is_enabled: self.enabled,
        };
        Ok((rule, terms))
    }
}

/// The hours in which reminders are made, by the clocks of the rule's time zone.
#[derive(SimpleObject)]
pub struct SendWindow {
    /// From this time of day on.
    from: String,
    /// Before this time of day.
    to: String,
    /// On these days.
    days: Vec<Day>,
}

impl From<&Window> for SendWindow {
    fn from(window: &Window) -> Self {
        Self {
            from: window.from.format("%H:%M").to_string(),
            to: window.to.format("%H:%M").to_string(),
            days: window.days.iter().copied().map(Day::from).collect(),
        }
    }
}

/// A rule that says of which campaigns to remind, whom, and when.
pub struct ReminderRule(pub(super) reminders::ReminderRule);

/// A rule that says of which campaigns to remind, whom, and when.
#[Object]
impl ReminderRule {
    /// The global id.
    pub async fn id(&self) -> ID {
        Key::ReminderRule(self.0.id).id()
    }

    /// What people call it. Who may not see personal data sees `•••` where it holds an address.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The campaign to remind of; null where there is a pattern.
    async fn campaign(&self) -> Option<Campaign> {
        match self.0.scope {
            Scope::Campaign(id) => Some(Campaign::unread(id)),
            Scope::Pattern(_) => None,
        }
    }

    /// The names of the campaigns to remind of; null where there is a single one.
    async fn campaign_name_pattern(&self) -> Option<&str> {
        match &self.0.scope {
            Scope::Pattern(pattern) => Some(pattern),
            Scope::Campaign(_) => None,
        }
    }

    /// Hours since the mail went out, or the reminder before it.
    async fn after_hours(&self) -> i32 {
        int(self.0.targeting.after_hours.into())
    }

    /// Who.
    async fn audience(&self) -> ReminderAudience {
        self.0.targeting.audience.into()
    }

    /// How often at most somebody is reminded of the same campaign.
    async fn max_reminders(&self) -> i32 {
        int(self.0.targeting.max_reminders.into())
    }

    /// By the clocks of which time zone `sendBetween` is meant.
    async fn time_zone(&self) -> &str {
        &self.0.time_zone
    }

    /// In which hours reminders are made; null: at any time.
    async fn send_between(&self) -> Option<SendWindow> {
        self.0.window.as_ref().map(Into::into)
    }

    /// What is made of those who are due.
    async fn action(&self) -> ReminderAction {
        self.0.action.into()
    }

    /// What stands before the subject of the reminder, and before its name.
    async fn subject_prefix(&self) -> Option<&str> {
        self.0.subject_prefix.as_deref()
    }

    /// Whether the schedule sees to it.
    async fn enabled(&self) -> bool {
        self.0.is_enabled
    }

    /// Who made it, as in the audit log.
    async fn created_by(&self) -> &str {
        &self.0.created_by
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }
}

/// A rule that was made or changed.
#[derive(SimpleObject)]
pub struct ReminderRulePayload {
    /// The rule; null where it was refused.
    pub(super) reminder_rule: Option<ReminderRule>,
    /// Why it was refused; empty where it was not.
    pub(super) user_errors: Vec<UserError>,
}

/// What a rule would do now. Nothing is made.
#[derive(SimpleObject)]
pub struct ReminderPreview {
    /// How many would get a reminder.
    eligible: i32,
    /// How many would not, by reason, most of them first: NOT_SENT, BOUNCED, RESPONDED, COMPLAINED, UNSUBSCRIBED, NO_CONSENT,
    /// BLOCKED_ADDRESS, FORMER_EMPLOYEE, DELETED_ADDRESS, TOO_SOON, REMINDED_ENOUGH, CANCELED, SIMULATOR. The examples are recipients.
    #[graphql(complexity = "15 * child_complexity + 1")]
    not_eligible: Vec<SkippedCount>,
    /// A few of those who would.
    #[graphql(complexity = "10 * child_complexity + 1")]
    sample: Vec<Recipient>,
    /// When the schedule makes the next reminders; null where nobody is to get one, or the rule is not enabled.
    next_run_at: Option<DateTime>,
    /// Reasons for refusing the rule; empty where it can be saved. A refused rule finds nobody.
    user_errors: Vec<UserError>,
}

impl ReminderPreview {
    fn refused(user_errors: Vec<UserError>) -> Self {
        Self { eligible: 0, not_eligible: Vec::new(), sample: Vec::new(), next_run_at: None, user_errors }
    }
}

impl From<Preview> for ReminderPreview {
    fn from(preview: Preview) -> Self {
        let counted = |skipped: NotEligible| {
            SkippedCount::new(skipped.reason.as_str(), skipped.count, skipped.examples.into_iter().map(Key::Recipient))
        };
        Self {
            eligible: int(preview.eligible),
            not_eligible: preview.not_eligible.into_iter().map(counted).collect(),
            sample: preview.sample.into_iter().map(Recipient).collect(),
            next_run_at: at(preview.next_run_at),
            user_errors: Vec::new(),
        }
    }
}

impl From<Reminded> for JobResult {
    fn from(reminded: Reminded) -> Self {
        Self {
            campaign: reminded.campaigns.first().copied().map(Campaign::unread),
            added: Some(int(reminded.added)),
            list: reminded.selections.first().map(|selection| ListId(ListKind::Selection, *selection)),
            ..Self::left_out(&reminded.skipped_by_reason)
        }
    }
}

/// The rules, the oldest first.
pub(super) async fn rules(ctx: &Context<'_>, campaign: Option<&ID>) -> Result<Vec<ReminderRule>> {
    let campaign = campaign.map(node::campaign).transpose();
    let campaign = campaign.map_err(|refusal| refusal.about(&["campaignId"]))?;
    Ok(reader(ctx)?.reminder_rules(campaign).await?.into_iter().map(ReminderRule).collect())
}

/// What a preview costs: it looks at all recipients of the campaign, or of all campaigns that a pattern may find.
pub(super) fn preview_cost(input: &ReminderRuleInput) -> usize {
    if input.campaign_id.is_some() { 1_000 } else { 5_000 }
}

/// What a rule would do now.
pub(super) async fn preview(ctx: &Context<'_>, input: ReminderRuleInput) -> Result<ReminderPreview> {
    let reader = reader(ctx)?;
    let previewed = async {
        let (id, terms) = input.into_terms()?;
        reader.reminder_preview(id, terms).await
    };
    let (preview, user_errors) = outcome(previewed.await)?;
    Ok(preview.map_or_else(|| ReminderPreview::refused(user_errors), Into::into))
}

/// Makes or changes a rule.
pub(super) async fn save(access: &Access, input: ReminderRuleInput) -> service::Result<ReminderRule> {
    let marketer = access.marketer()?;
    let (id, terms) = input.into_terms()?;
    Ok(ReminderRule(marketer.save_reminder_rule(id, terms).await?))
}
