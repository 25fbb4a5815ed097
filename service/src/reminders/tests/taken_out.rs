//! Who responds between being chosen and being sent to gets no reminder.

use domain::campaign::CampaignState;
use domain::facts::Facts;
use domain::status::{RecipientStatus, SkipReason};

use super::super::{run, take_out};
use super::{Fixture, at, many, sent, terms, with};
use crate::reminders::ReminderTerms;

const READY: (RecipientStatus, Option<SkipReason>) = (RecipientStatus::Ready, None);

const fn skipped(reason: SkipReason) -> (RecipientStatus, Option<SkipReason>) {
    (RecipientStatus::Blocked, Some(reason))
}

#[tokio::test]
async fn whoever_responds_meanwhile_is_taken_out() {
    for fixture in Fixture::each().await {
        let people: Vec<_> = (0..9).map(|_| with(sent(0))).collect();
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &people).await;
        let rule = fixture.rule(terms(campaign)).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let child = fixture.remind(rule.id).await.campaigns[0];
        assert_eq!(take_out(&fixture.services, child).await.expect("compared"), 0);

        fixture.clock.advance_seconds(60);
        for (number, facts) in [
            (1, Facts { opens: 1, first_opened_at: Some(at(73)), ..sent(0) }),
            (2, Facts { machine_opens: 1, ..sent(0) }),
            (3, Facts { complained_at: Some(at(73)), ..sent(0) }),
            (4, Facts { unsubscribed_at: Some(at(73)), ..sent(0) }),
            (5, Facts { last_soft_bounced_at: Some(at(73)), ..sent(0) }),
        ] {
            fixture.set(campaign, number, &facts).await;
        }
        for (number, change) in [
            (6, "health = 3, blocked_at = 1"),
            (7, "former_employee_at = 1"),
            (8, "last_complained_at = 2, consent_given_at = 1"),
            (9, "unsubscribed_at = 1, subscribed_at = 2, last_complained_at = 1, consent_given_at = 1"),
        ] {
            let sql = format!("UPDATE address SET {change} WHERE id = {campaign} * 1000000 + {number}");
            fixture.run_sql(&sql, []).await;
        }
        // The minute's look finds that the campaign changed.
        fixture.tick().await;
        let expected = [
            skipped(SkipReason::Responded),
            READY,
            skipped(SkipReason::NoConsent),
            skipped(SkipReason::NoSubscription),
            skipped(SkipReason::BlockedAddress),
            skipped(SkipReason::BlockedAddress),
            skipped(SkipReason::BlockedAddress),
            skipped(SkipReason::NoConsent),
            READY,
        ];
        assert_eq!(fixture.statuses(child).await, expected);
        assert_eq!(take_out(&fixture.services, child).await.expect("compared"), 0, "all of it is done");
        // What was taken out is not made again.
        assert_eq!(fixture.remind(rule.id).await.added, 0);
        assert_eq!(fixture.statuses(child).await, expected);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_went_out_and_what_was_called_off_stays_as_it_is() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[with(sent(0)), with(sent(5))]).await;
        let rule = fixture.rule(ReminderTerms { max_reminders: 2, ..terms(campaign) }).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let child = fixture.remind(rule.id).await.campaigns[0];
        fixture.send(child).await;
        fixture.clock.advance_seconds(5 * 3_600);
        // The second one is late, and comes into the campaign that went out.
        assert_eq!(fixture.remind(rule.id).await.added, 1);
        let read = Facts { opens: 1, first_opened_at: Some(at(78)), ..sent(0) };
        fixture.set(campaign, 1, &read).await;
        fixture.set(campaign, 2, &Facts { sent_at: Some(at(5)), ..read }).await;
        assert_eq!(take_out(&fixture.services, child).await.expect("compared"), 1);
        assert_eq!(fixture.statuses(child).await, [(RecipientStatus::Sent, None), skipped(SkipReason::Responded)]);
        assert_eq!(take_out(&fixture.services, campaign).await.expect("compared"), 0, "it is no reminder");
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_response_to_the_first_reminder_takes_out_of_the_second() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[with(sent(0)), with(sent(0))]).await;
        let rule = fixture.rule(ReminderTerms { max_reminders: 2, ..terms(campaign) }).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let first = fixture.remind(rule.id).await.campaigns[0];
        fixture.send(first).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let second = fixture.remind(rule.id).await.campaigns[0];
        fixture.clock.advance_seconds(600);
        fixture.set(first, 2, &Facts { clicks: 1, first_clicked_at: Some(at(146)), ..sent(73) }).await;
        fixture.tick().await;
        assert_eq!(fixture.statuses(second).await, [READY, skipped(SkipReason::Responded)]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn many_are_compared_in_chunks() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &many(2)).await;
        let rule = fixture.rule(terms(campaign)).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let job = fixture.marketer().run_reminder_now(rule.id).await.expect("a job");
        let child = run(&fixture.services, &fixture.claim(job.id).await).await.expect("done").campaigns[0];
        fixture
            .run_sql(
                "UPDATE recipient SET opens = 1, status = 4 WHERE campaign_id = $1 AND number % 1000 = 0",
                [campaign.into()],
            )
            .await;
        crate::recount::recount(&fixture.services, Some(campaign), true).await.expect("recounted");
        assert_eq!(take_out(&fixture.services, child).await.expect("compared"), 4);
        fixture.close().await;
    }
}
