//! Sending a campaign again, and the attempts before.

use async_graphql::{ID, InputObject, SimpleObject};
use domain::resend::ResendScope;
use service::import::members::{MembersImported, Reloaded};
use service::resends::{self, Resent};
use service::{Access, jobs};

use super::campaign::Campaign;
use super::errors::invalid;
use super::job_result::JobResult;
use super::node;
use super::scalars::{DateTime, at, int};
use super::set::{RecipientSetInput, within};
use super::words::{BounceClass, RecipientStatus, SkipReason};

/// Which campaign is to be sent again, and to whom: exactly one of `recipients`, `onlyUpdated` and `notYetSent`.
#[derive(InputObject)]
pub struct ResendInput {
    /// The campaign.
    campaign_id: ID,
    /// Those of these recipients who have not got it: it bounced, the provider refused it, or it was not sent.
    recipients: Option<RecipientSetInput>,
    /// Those whose address was corrected since it failed, and nobody else.
    only_updated: Option<bool>,
    /// Those who were never sent to: whoever was left out for a reason that no longer holds is to be sent to.
    not_yet_sent: Option<bool>,
}

/// Has a campaign sent again.
pub(super) async fn begin(access: &Access, input: ResendInput) -> service::Result<jobs::Job> {
    let marketer = access.marketer()?;
    let campaign = node::campaign(&input.campaign_id).map_err(|refusal| refusal.about(&["campaignId"]))?;
    let (updated, not_yet) = (input.only_updated == Some(true), input.not_yet_sent == Some(true));
    let scope = match (&input.recipients, updated, not_yet) {
        (Some(_), false, false) => ResendScope::Chosen,
        (None, true, false) => ResendScope::OnlyUpdated,
        (None, false, true) => ResendScope::NotYetSent,
        _ => {
            let message = "give recipients, or onlyUpdated, or notYetSent: exactly one of them";
            return Err(invalid("input", message).into());
        }
    };
    let chosen = input.recipients.map(|set| set.into_set(access));
    let chosen = chosen.transpose().map_err(|refusal| within(&["recipients"], refusal))?;
    marketer.resend(campaign, scope, chosen).await
}

/// What became of a recipient when the campaign was sent to it before. What providers report late about that mail is counted here, and
/// nowhere in the campaign's figures.
#[derive(Clone, SimpleObject)]
pub struct EarlierAttempt {
    /// The how manieth one, from 1.
    number: i32,
    /// The address at the end of it. Who may not see personal data sees `•••`.
    email: String,
    /// What became of it.
    status: RecipientStatus,
    /// Why it was not sent; there where the status is BLOCKED.
    skip_reason: Option<SkipReason>,
    /// When it was sent.
    sent_at: Option<DateTime>,
    /// Why it failed.
    bounce_class: Option<BounceClass>,
    /// The server's own words when it failed, with SMTP and enhanced code.
    bounce_reason: Option<String>,
    /// When the next attempt was asked for.
    ended_at: DateTime,
}

impl From<resends::EarlierAttempt> for EarlierAttempt {
    fn from(attempt: resends::EarlierAttempt) -> Self {
        Self {
            number: int(attempt.number),
            email: attempt.email,
            status: attempt.status.into(),
            skip_reason: attempt.skip_reason.map(Into::into),
            sent_at: at(attempt.sent_at),
            bounce_class: attempt.bounce_class.map(Into::into),
            bounce_reason: attempt.bounce_reason,
            ended_at: attempt.ended_at.into(),
        }
    }
}

impl From<Resent> for JobResult {
    fn from(resent: Resent) -> Self {
        Self {
            campaign: Some(Campaign::unread(resent.campaign_id)),
            added: Some(int(resent.added)),
            unchanged: Some(int(resent.unchanged)),
            ..Self::left_out(&resent.skipped_by_reason)
        }
    }
}

impl From<MembersImported> for JobResult {
    fn from(imported: MembersImported) -> Self {
        Self {
            campaign: Some(Campaign::unread(imported.campaign_id)),
            added: Some(int(imported.counts.imported)),
            updated: Some(int(imported.counts.updated)),
            unchanged: Some(int(imported.counts.unchanged)),
            rejected: Some(int(imported.counts.rejected)),
            skipped: Some(int(imported.counts.skipped)),
            ..Self::left_out(&imported.skipped_by_reason)
        }
    }
}

impl From<Reloaded> for JobResult {
    fn from(reloaded: Reloaded) -> Self {
        Self {
            campaign: Some(Campaign::unread(reloaded.campaign_id)),
            added: Some(int(reloaded.added)),
            updated: Some(int(reloaded.updated)),
            unchanged: Some(int(reloaded.unchanged)),
            ..Self::left_out(&reloaded.skipped_by_reason)
        }
    }
}
