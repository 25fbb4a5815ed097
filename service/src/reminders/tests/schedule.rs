//! When the schedule makes reminders: in the rule's hours, where somebody may be due, and not every minute for nothing.

use chrono::Weekday;
use domain::campaign::CampaignState;
use domain::facts::Facts;

use super::{Fixture, at, sent, terms, terms_for, with};
use crate::jobs;
use crate::reminders::{self, ReminderTerms};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

#[tokio::test]
async fn a_campaign_is_looked_at_when_somebody_may_be_due() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[with(sent(0)), with(sent(20))]).await;
        let rule = fixture.rule(terms(campaign)).await;
        fixture.clock.advance_seconds(71 * HOUR);
        assert_eq!(fixture.tick().await.len(), 0, "it is too soon");
        fixture.clock.advance_seconds(HOUR + MINUTE);
        let jobs = fixture.tick().await;
        assert_eq!(jobs.len(), 1);
        assert_eq!(fixture.tick().await.len(), 0, "that job waits still");
        let reminded = reminders::run(&fixture.services, &fixture.claim(jobs[0]).await).await.expect("done");
        assert_eq!(reminded.added, 1);

        // Of the hour in which it was sent some more might be due; after that there is nothing to look for.
        let mut looks = 0;
        for _ in 0..10 * 12 {
            fixture.clock.advance_seconds(5 * MINUTE);
            for job in fixture.tick().await {
                looks += 1;
                let reminded = reminders::run(&fixture.services, &fixture.claim(job).await).await.expect("done");
                assert_eq!(reminded.added, 0);
            }
        }
        assert!((1..=7).contains(&looks), "{looks} looks in ten hours");

        // The second was sent twenty hours later, and is found without anybody saying so.
        let now = fixture.services.now();
        fixture.clock.advance_seconds(at(92).seconds() - now.seconds() + 11 * MINUTE);
        let jobs = fixture.tick().await;
        assert_eq!(jobs.len(), 1);
        let reminded = reminders::run(&fixture.services, &fixture.claim(jobs[0]).await).await.expect("done");
        assert_eq!(reminded.added, 1);

        // What the figures tell is looked at as well, but not at once, and a changed rule is at once.
        fixture.clock.advance_seconds(2 * HOUR);
        for job in fixture.tick().await {
            reminders::run(&fixture.services, &fixture.claim(job).await).await.expect("done");
        }
        fixture.clock.advance_seconds(MINUTE);
        assert_eq!(fixture.tick().await.len(), 0);
        let terms = ReminderTerms { max_reminders: 3, ..terms(campaign) };
        fixture.marketer().save_reminder_rule(Some(rule.id), terms).await.expect("changed");
        fixture.clock.advance_seconds(MINUTE);
        let jobs = fixture.tick().await;
        assert_eq!(jobs.len(), 1);
        reminders::run(&fixture.services, &fixture.claim(jobs[0]).await).await.expect("done");
        fixture.clock.advance_seconds(HOUR);
        assert_eq!(fixture.tick().await.len(), 0);
        fixture.set(campaign, 2, &Facts { machine_opens: 1, ..sent(20) }).await;
        assert_eq!(fixture.tick().await.len(), 1);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_rule_keeps_its_hours_unless_somebody_asks() {
    for fixture in Fixture::each().await {
        // The test begins on a Thursday, 2026-01-01.
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[with(sent(0))]).await;
        let window = ("08:00".to_owned(), "18:00".to_owned(), vec![Weekday::Mon, Weekday::Tue]);
        let terms = ReminderTerms { window: Some(window), ..terms(campaign) };
        let rule = fixture.rule(terms.clone()).await;
        let preview = fixture.preview(None, terms.clone()).await;
        // 72 hours later it is Sunday, 01:00 in Berlin: Monday at eight there is seven in UTC.
        assert_eq!(preview.next_run_at, Some(at(4 * 24 + 7)));
        fixture.clock.advance_seconds(75 * HOUR);
        assert_eq!(fixture.tick().await.len(), 0);
        assert_eq!(fixture.preview(None, terms.clone()).await.next_run_at, Some(at(4 * 24 + 7)));
        let disabled = ReminderTerms { is_enabled: false, ..terms };
        assert_eq!(fixture.preview(None, disabled).await.next_run_at, None);
        assert_eq!(fixture.remind(rule.id).await.added, 1, "somebody asked");
        fixture.clock.advance_seconds((4 * 24 + 7 - 75) * HOUR);
        assert_eq!(fixture.tick().await.len(), 1);
        fixture.close().await;
    }
}

#[tokio::test]
async fn rules_that_are_disabled_or_deleted_do_nothing() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[with(sent(0))]).await;
        fixture.campaign("Summer", CampaignState::Sent, &[with(sent(0))]).await;
        fixture.rule(ReminderTerms { is_enabled: false, ..terms(campaign) }).await;
        let deleted = fixture.rule(terms(campaign)).await;
        fixture.marketer().delete_reminder_rule(deleted.id).await.expect("deleted");
        let kept = fixture.rule(terms_for("S*r")).await;
        fixture.clock.advance_seconds(73 * HOUR);
        let jobs = fixture.tick().await;
        assert_eq!(jobs.len(), 1);
        fixture.marketer().delete_reminder_rule(kept.id).await.expect("deleted");
        let reminded = reminders::run(&fixture.services, &fixture.claim(jobs[0]).await).await.expect("done");
        assert_eq!(reminded.added, 0, "the rule was deleted before its job began");
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_job_that_was_given_up_is_followed_by_another() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[with(sent(0))]).await;
        fixture.rule(terms(campaign)).await;
        fixture.clock.advance_seconds(80 * HOUR);
        let job = fixture.claim(fixture.tick().await[0]).await;
        let now = fixture.services.now();
        assert!(jobs::fail(&fixture.services, &job, "no", None, now).await.expect("written"));
        fixture.clock.advance_seconds(HOUR / 2);
        assert_eq!(fixture.tick().await.len(), 0);
        fixture.clock.advance_seconds(HOUR / 2);
        let next = fixture.tick().await;
        assert_eq!(next.len(), 1);
        let reminded = reminders::run(&fixture.services, &fixture.claim(next[0]).await).await.expect("done");
        assert_eq!(reminded.added, 1);
        fixture.close().await;
    }
}
