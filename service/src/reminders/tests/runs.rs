//! Who is reminded: everybody once, whatever happens.

use domain::campaign::CampaignState;
use domain::facts::Facts;
use domain::health::AddressHealth;
use domain::reminder::{Address, ReminderAction, ReminderAudience};
use domain::status::{RecipientStatus, SkipReason};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::run::{Position, step};
use super::{Fixture, REMINDED, Somebody, WELL, at, counts, many, preview_counts, sent, terms, terms_for, with};
use crate::error::ServiceError;
use crate::jobs::JobState;
use crate::reminders::{self, ReminderTerms};

fn everybody() -> Vec<(Somebody, Option<&'static str>)> {
    let address = |address: Address| Somebody { address, ..with(sent(0)) };
    vec![
        (with(sent(0)), None),
        (with(Facts { last_delivered_at: Some(at(0)), machine_opens: 2, machine_clicks: 1, ..sent(0) }), None),
        (with(Facts::default()), Some("NOT_SENT")),
        (with(Facts { skip: Some(SkipReason::Duplicate), ..Facts::default() }), Some("NOT_SENT")),
        (with(Facts { last_soft_bounced_at: Some(at(1)), ..sent(0) }), Some("BOUNCED")),
        (with(Facts { hard_bounced_at: Some(at(1)), ..sent(0) }), Some("BOUNCED")),
        (with(Facts { opens: 1, first_opened_at: Some(at(1)), ..sent(0) }), Some("RESPONDED")),
        (with(Facts { clicks: 1, first_clicked_at: Some(at(1)), ..sent(0) }), Some("RESPONDED")),
        (with(Facts { complained_at: Some(at(1)), ..sent(0) }), Some("COMPLAINED")),
        (with(Facts { unsubscribed_at: Some(at(1)), ..sent(0) }), Some("UNSUBSCRIBED")),
        (address(Address { is_unsubscribed: true, ..WELL }), Some("UNSUBSCRIBED")),
        (address(Address { is_consent_withdrawn: true, ..WELL }), Some("NO_CONSENT")),
        (address(Address { health: AddressHealth::Blocked, ..WELL }), Some("BLOCKED_ADDRESS")),
        (address(Address { health: AddressHealth::Suspect, ..WELL }), None),
        (address(Address { is_former_employee: true, ..WELL }), Some("FORMER_EMPLOYEE")),
        (address(Address { is_deleted: true, ..WELL }), Some("DELETED_ADDRESS")),
        (with(sent(50)), Some("TOO_SOON")),
        (Somebody { is_simulator: true, ..with(sent(0)) }, Some("SIMULATOR")),
    ]
}

#[tokio::test]
async fn those_who_are_due_are_reminded_and_the_others_not() {
    for fixture in Fixture::each().await {
        let (people, reasons): (Vec<Somebody>, Vec<_>) = everybody().into_iter().unzip();
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &people).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let terms = ReminderTerms { subject_prefix: Some("Again:".to_owned()), ..terms(campaign) };
        let preview = fixture.preview(None, terms.clone()).await;
        let rule = fixture.rule(terms).await;
        let reminded = fixture.remind(rule.id).await;

        let mut expected: Vec<(String, i64)> = Vec::new();
        for reason in reasons.iter().flatten() {
            match expected.iter_mut().find(|(known, _)| known == reason) {
                Some((_, count)) => *count += 1,
                None => expected.push(((*reason).to_owned(), 1)),
            }
        }
        expected.sort_unstable();
        assert_eq!((reminded.added, counts(&reminded.skipped_by_reason)), (3, expected.clone()));
        assert_eq!((preview.eligible, preview_counts(&preview)), (3, expected));
        let sample: Vec<i64> = preview.sample.iter().map(|recipient| recipient.key.number).collect();
        assert_eq!(sample, [1, 2, 14]);
        let unsubscribed =
            preview.not_eligible.iter().find(|skipped| skipped.reason.as_str() == "UNSUBSCRIBED").expect("some");
        assert_eq!(unsubscribed.examples.iter().map(|key| key.number).collect::<Vec<_>>(), [10, 11]);
        assert_eq!(preview.next_run_at, Some(fixture.services.now()));

        let child = reminded.campaigns[0];
        let shown = fixture.reader().campaign(child).await.expect("read").expect("the reminder");
        assert_eq!(
            (shown.key.as_str(), shown.name.as_str()),
            (&*format!("reminder-{}-{campaign}-1", rule.id), "Again: Spring")
        );
        assert_eq!(shown.subject.as_deref(), Some("Again: All about Spring"));
        assert_eq!((shown.state, shown.parent), (CampaignState::Draft, Some(campaign)));
        assert_eq!(fixture.statuses(child).await, [(RecipientStatus::Ready, None); 3]);
        let copied = "SELECT count(*) FROM recipient c JOIN reminder_target t ON t.child_id = c.campaign_id AND t.child_recipient = c.number \
            JOIN recipient r ON r.campaign_id = t.campaign_id AND r.number = t.recipient WHERE c.address_id = r.address_id \
            AND c.email = r.email AND c.email_key = r.email_key AND c.ref = r.ref AND c.name = r.name AND c.attributes = r.attributes";
        assert_eq!(fixture.count(copied).await, 3);
        fixture.close().await;
    }
}

/// Each kind of database with each of the actions.
async fn each_with_actions() -> Vec<(Fixture, ReminderAction)> {
    let mut all = Vec::new();
    for action in ReminderAction::ALL {
        all.extend(Fixture::each().await.into_iter().map(|fixture| (fixture, *action)));
    }
    all
}

#[tokio::test]
async fn nobody_gets_the_same_reminder_twice() {
    for (fixture, action) in each_with_actions().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[with(sent(0)), with(sent(5))]).await;
        let rule = fixture.rule(ReminderTerms { action, ..terms(campaign) }).await;
        fixture.clock.advance_seconds(73 * 3_600);
        // Pressed twice, it is one job.
        let first = fixture.marketer().run_reminder_now(rule.id).await.expect("a job");
        assert_eq!(fixture.marketer().run_reminder_now(rule.id).await.expect("a job").id, first.id);
        assert_eq!(fixture.remind(rule.id).await.added, 1);
        let again = fixture.remind(rule.id).await;
        assert_eq!((again.added, again.campaigns.len()), (0, 0));
        // Those who are due later come into the same reminder.
        fixture.clock.advance_seconds(5 * 3_600);
        assert_eq!(fixture.remind(rule.id).await.added, 1);
        let campaigns = i64::from(action == ReminderAction::NewCampaign);
        assert_eq!(fixture.count("SELECT count(*) FROM campaign WHERE parent_id IS NOT NULL").await, campaigns);
        assert_eq!(fixture.count(REMINDED).await, 2);
        let audited = "SELECT count(*) FROM audit_entry WHERE action = 'reminder_rule.run'";
        assert_eq!(fixture.count(audited).await, 3);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_lost_its_job_adds_nothing() {
    for (fixture, action) in each_with_actions().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &many(2)).await;
        let rule = fixture.rule(ReminderTerms { action, ..terms(campaign) }).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let id = fixture.marketer().run_reminder_now(rule.id).await.expect("a job").id;
        let first = fixture.claim(id).await;
        let payload = serde_json::from_value(first.payload.clone()).expect("a payload");
        let (mut position, mut progress) = (Position::default(), first.progress);
        step(&fixture.services, &first, &payload, &mut position, &mut progress).await.expect("the first part");

        // It is gone for longer than its lease; another goes on where it was left.
        fixture.clock.advance_seconds(61);
        let second = fixture.claim(id).await;
        let late = step(&fixture.services, &first, &payload, &mut position, &mut progress).await;
        assert!(matches!(late, Err(ServiceError::JobLost)), "{late:?}");
        let reminded = reminders::run(&fixture.services, &second).await.expect("done");
        assert_eq!(reminded.added, 4_000);
        let job = fixture.reader().job(id).await.expect("read").expect("the job");
        assert_eq!((job.state, job.progress.done, job.progress.total), (JobState::Succeeded, 4_000, Some(4_000)));
        assert_eq!(fixture.count(REMINDED).await, 4_000);
        fixture.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_jobs_at_once_remind_everybody_once() {
    for (fixture, action) in each_with_actions().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &many(3)).await;
        let rule = fixture.rule(ReminderTerms { action, ..terms(campaign) }).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let by_schedule = fixture.tick().await;
        let by_hand = fixture.marketer().run_reminder_now(rule.id).await.expect("a job").id;
        assert_eq!(by_schedule.len(), 1);
        let (left, right) = (fixture.claim(by_schedule[0]).await, fixture.claim(by_hand).await);
        let (left, right) = tokio::join!(
            tokio::spawn({
                let services = fixture.services.clone();
                async move { reminders::run(&services, &left).await }
            }),
            tokio::spawn({
                let services = fixture.services.clone();
                async move { reminders::run(&services, &right).await }
            }),
        );
        let (left, right) = (left.expect("ended").expect("done"), right.expect("ended").expect("done"));
        assert_eq!(left.added + right.added, 6_000);
        assert_eq!(fixture.count("SELECT count(*) FROM reminder").await, 1);
        let again = if action == ReminderAction::Resend { 6_000 } else { 0 };
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE attempt = 2 AND status = 1").await, again);
        assert_eq!(fixture.count(REMINDED).await, 6_000);
        fixture.close().await;
    }
}

#[tokio::test]
async fn further_reminders_follow_the_one_before() {
    for fixture in Fixture::each().await {
        let campaign =
            fixture.campaign("Spring", CampaignState::Sent, &[with(sent(0)), with(sent(0)), with(sent(0))]).await;
        let terms = ReminderTerms { max_reminders: 2, ..terms(campaign) };
        let rule = fixture.rule(terms.clone()).await;
        fixture.clock.advance_seconds(80 * 3_600);
        let first = fixture.remind(rule.id).await.campaigns[0];
        let preview = fixture.preview(Some(rule.id), terms.clone()).await;
        assert_eq!((preview.eligible, preview.next_run_at), (0, None), "the first one has not gone out");
        fixture.send(first).await;
        // The time until the second counts from the first on.
        fixture.clock.advance_seconds(71 * 3_600);
        let preview = fixture.preview(Some(rule.id), terms.clone()).await;
        assert_eq!(preview_counts(&preview), [("TOO_SOON".to_owned(), 3)]);
        assert_eq!(preview.next_run_at, Some(at(80 + 72)));
        assert_eq!(fixture.remind(rule.id).await.added, 0);
        // Reading the reminder is as good as reading the mail.
        fixture.set(first, 2, &Facts { opens: 1, first_opened_at: Some(at(81)), ..sent(80) }).await;
        fixture.clock.advance_seconds(3_600);
        let preview = fixture.preview(Some(rule.id), terms.clone()).await;
        let reminded = fixture.remind(rule.id).await;
        assert_eq!((preview.eligible, reminded.added), (2, 2));
        assert_eq!(counts(&reminded.skipped_by_reason), [("RESPONDED".to_owned(), 1)]);
        let second = reminded.campaigns[0];
        let shown = fixture.reader().campaign(second).await.expect("read").expect("the reminder");
        assert_eq!((shown.name.as_str(), shown.parent), ("Reminder: Spring (2)", Some(campaign)));
        fixture.send(second).await;
        fixture.clock.advance_seconds(500 * 3_600);
        let last = fixture.remind(rule.id).await;
        let expected = [("REMINDED_ENOUGH".to_owned(), 2), ("RESPONDED".to_owned(), 1)];
        assert_eq!((last.added, counts(&last.skipped_by_reason)), (0, expected.to_vec()));
        assert_eq!(preview_counts(&fixture.preview(Some(rule.id), terms).await), expected);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_reminder_that_was_called_off_stays_so() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[with(sent(0)), with(sent(5))]).await;
        let rule = fixture.rule(terms(campaign)).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let child = fixture.remind(rule.id).await.campaigns[0];
        fixture.marketer().cancel_campaign(child).await.expect("canceled");
        fixture.clock.advance_seconds(10 * 3_600);
        let preview = fixture.preview(Some(rule.id), terms(campaign)).await;
        let reminded = fixture.remind(rule.id).await;
        let expected = [("CANCELED".to_owned(), 1), ("REMINDED_ENOUGH".to_owned(), 1)];
        assert_eq!((reminded.added, counts(&reminded.skipped_by_reason)), (0, expected.to_vec()));
        assert_eq!(preview_counts(&preview), expected);
        assert_eq!(fixture.statuses(child).await, [(RecipientStatus::Canceled, None)]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn who_read_but_did_not_click_may_be_meant() {
    for fixture in Fixture::each().await {
        let read = with(Facts { opens: 1, first_opened_at: Some(at(1)), ..sent(0) });
        let clicked = with(Facts { clicks: 1, first_clicked_at: Some(at(1)), ..sent(0) });
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[read, clicked, with(sent(0))]).await;
        let terms = ReminderTerms { audience: ReminderAudience::NotClicked, ..terms(campaign) };
        let rule = fixture.rule(terms.clone()).await;
        fixture.clock.advance_seconds(73 * 3_600);
        assert_eq!(fixture.preview(None, terms).await.eligible, 2);
        let reminded = fixture.remind(rule.id).await;
        assert_eq!((reminded.added, counts(&reminded.skipped_by_reason)), (2, vec![("RESPONDED".to_owned(), 1)]));
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_pattern_means_campaigns_that_were_sent_and_remind_of_no_other() {
    for fixture in Fixture::each().await {
        let people = [with(sent(0)), with(sent(0))];
        let first = fixture.campaign("Newsletter 1", CampaignState::Sent, &people).await;
        let second = fixture.campaign("newsletter 2", CampaignState::Sent, &people).await;
        fixture.campaign("Newsletter 3", CampaignState::Draft, &people).await;
        fixture.campaign("Invitation", CampaignState::Sent, &people).await;
        let rule = fixture.rule(terms_for("Newsletter*")).await;
        fixture.clock.advance_seconds(73 * 3_600);
        assert_eq!(fixture.preview(None, terms_for("Newsletter*")).await.eligible, 4);
        let reminded = fixture.remind(rule.id).await;
        assert_eq!((reminded.added, reminded.campaigns.len()), (4, 2));
        let parents = fixture.count("SELECT count(DISTINCT parent_id) FROM campaign WHERE parent_id IS NOT NULL").await;
        assert_eq!(parents, 2);
        // The reminders are called "Reminder: Newsletter 1", and were sent: they are not reminded of by a rule for all.
        for child in &reminded.campaigns {
            fixture.send(*child).await;
        }
        let all = fixture.rule(terms_for("*Newsletter*")).await;
        fixture.clock.advance_seconds(100 * 3_600);
        assert_eq!(fixture.remind(all.id).await.added, 4, "again of {first} and {second} only, by another rule");
        fixture.close().await;
    }
}

#[tokio::test]
async fn twenty_thousand_in_chunks() {
    for fixture in Fixture::each().await {
        let mut people = many(10);
        for person in people.iter_mut().step_by(4) {
            person.facts.opens = 1;
        }
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &people).await;
        let rule = fixture.rule(terms(campaign)).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let preview = fixture.preview(None, terms(campaign)).await;
        assert_eq!((preview.eligible, preview_counts(&preview)), (15_000, vec![("RESPONDED".to_owned(), 5_000)]));
        assert_eq!(preview.sample.len(), 10);
        let reminded = fixture.remind(rule.id).await;
        assert_eq!((reminded.added, reminded.campaigns.len()), (15_000, 1));
        fixture.close().await;
    }
}

fn anybody() -> impl Strategy<Value = Somebody> {
    let time = || proptest::option::weighted(0.3, 0_i64..80);
    let moments = (proptest::option::weighted(0.9, 0_i64..80), time(), time(), time(), time(), time());
    let counts = (0_i32..2, 0_i32..2, proptest::option::weighted(0.1, proptest::sample::select(SkipReason::ALL)));
    let address = (proptest::sample::select(AddressHealth::ALL), any::<[bool; 4]>(), 0_u8..8, any::<bool>());
    (moments, counts, address).prop_map(
        |((sent, delivered, soft, hard, complained, left), (opens, clicks, skip), address)| {
            let (health, flags, rare, is_simulator) = address;
            let [is_former_employee, is_deleted, is_consent_withdrawn, is_unsubscribed] =
                flags.map(|flag| flag && rare == 0);
            let sometimes = |hour: Option<i64>, of: u8| hour.filter(|_| rare == of).map(at);
            let facts = Facts {
                skip,
                sent_at: sent.map(at),
                delivered_at: delivered.map(at),
                last_delivered_at: delivered.map(at),
                last_soft_bounced_at: soft.map(at),
                hard_bounced_at: sometimes(hard, 1),
                complained_at: sometimes(complained, 2),
                unsubscribed_at: sometimes(left, 3),
                opens: if rare > 3 { 0 } else { opens },
                clicks: if rare > 3 { 0 } else { clicks },
                ..Facts::default()
            };
            let health = if rare > 4 { AddressHealth::Ok } else { health };
            let address = Address { health, is_former_employee, is_deleted, is_consent_withdrawn, is_unsubscribed };
            Somebody { facts, is_simulator: is_simulator && rare == 4, address }
        },
    )
}

/// Over some rounds of changing actions, with random people of whom random things become known between them.
#[tokio::test]
async fn a_preview_is_what_the_run_then_does() {
    for fixture in Fixture::each().await {
        let mut runner = TestRunner::deterministic();
        let mut totals = [0; ReminderAction::ALL.len()];
        for case in 0..9 {
            let mut draw = |count: usize| {
                proptest::collection::vec(anybody(), count).new_tree(&mut runner).expect("people").current()
            };
            let campaign = fixture.campaign(&format!("Case {case}"), CampaignState::Sent, &draw(80)).await;
            let audience = ReminderAudience::ALL[case % 2];
            let mut terms = ReminderTerms { audience, max_reminders: 3, after_hours: 48, ..terms(campaign) };
            let rule = fixture.rule(terms.clone()).await;
            if case == 0 {
                fixture.clock.advance_seconds(100 * 3_600);
            }
            for round in 0..4 {
                // Three cases keep to one action, the others change between them.
                let action = if case < 3 { case } else { (case + round) % 3 };
                terms.action = ReminderAction::ALL[action];
                fixture.marketer().save_reminder_rule(Some(rule.id), terms.clone()).await.expect("changed");
                let preview = fixture.preview(Some(rule.id), terms.clone()).await;
                let reminded = fixture.remind(rule.id).await;
                assert_eq!(reminded.added, preview.eligible, "case {case}, round {round}");
                assert_eq!(counts(&reminded.skipped_by_reason), preview_counts(&preview), "case {case}, round {round}");
                totals[action] += reminded.added;
                // Something becomes of the reminders, for most of them after they went out.
                for sent in reminded.campaigns {
                    fixture.send(sent).await;
                    let known = (1..=reminded.added).step_by(2).zip(draw(80));
                    fixture.set_many(sent, known.map(|(number, person)| (number, person.facts))).await;
                }
                // And some read what they were sent before.
                let late = format!("UPDATE attempt SET opens = 1 WHERE campaign_id = $1 AND number % 5 = {round}");
                fixture.run_sql(&late, [campaign.into()]).await;
                fixture.clock.advance_seconds(47 * 3_600);
            }
        }
        assert!(totals.iter().all(|total| *total > 50), "{totals:?} are too few to say anything");
        fixture.close().await;
    }
}
