//! What a reminder is by a rule's action: a campaign that is reported as a selection too, a selection alone, or the campaign again.

use domain::campaign::CampaignState;
use domain::facts::Facts;
use domain::reminder::ReminderAction;
use domain::status::{RecipientStatus, SkipReason};

use super::super::take_out;
use super::{Fixture, Somebody, at, counts, many, preview_counts, sent, terms, with};
use crate::crm::members;
use crate::db::query_all;
use crate::jobs::JobKind;
use crate::reminders::ReminderTerms;

fn people(count: usize) -> Vec<Somebody> {
    (0..count).map(|_| with(sent(0))).collect()
}

impl Fixture {
    /// Has the CRM know some recipients of a campaign.
    async fn know(&self, campaign: i64, numbers: &[i64]) {
        for number in numbers {
            let sql =
                "INSERT INTO person (crm_id, name, created_at, updated_at) VALUES ('c' || $1 || 'p' || $2, 'N', 0, 0)";
            self.run_sql(sql, [campaign.to_string().into(), number.to_string().into()]).await;
            let sql = "UPDATE recipient SET crm_id = 'c' || $3 || 'p' || $4 WHERE campaign_id = $1 AND number = $2";
            let text = [campaign, *number].map(|key| key.to_string().into());
            let [left, right] = text;
            self.run_sql(sql, [campaign.into(), (*number).into(), left, right]).await;
        }
    }

    /// Does all jobs that wait to add members; what they did.
    async fn add_members(&self) -> Vec<(i64, Vec<(String, i64)>)> {
        let sql =
            format!("SELECT id FROM job WHERE kind = {} AND state = 1 ORDER BY id", JobKind::AddToSelection.code());
        let mut done = Vec::new();
        for row in query_all(self.services.db.read(), &sql, []).await.expect("jobs") {
            let job = self.claim(row.try_get_by_index(0).expect("an id")).await;
            let changed = members::run(&self.services, &job).await.expect("done");
            done.push((changed.added, counts(&changed.skipped_by_reason)));
        }
        done
    }

    /// The selections, and the numbers of those recipients of the first campaign who are members, in their order.
    async fn selections(&self) -> Vec<(String, Vec<i64>)> {
        let sql = "SELECT s.name, r.number FROM selection s LEFT JOIN selection_member m ON m.list_id = s.id \
            LEFT JOIN person p ON p.id = m.person_id LEFT JOIN recipient r ON r.crm_id = p.crm_id AND r.campaign_id = 1 \
            ORDER BY s.id, r.number";
        let mut selections: Vec<(String, Vec<i64>)> = Vec::new();
        for row in query_all(self.services.db.read(), sql, []).await.expect("selections") {
            let (name, number): (String, Option<i64>) =
                (row.try_get_by_index(0).expect("a name"), row.try_get_by_index(1).expect("a number"));
            match selections.last_mut() {
                Some((last, members)) if *last == name => members.extend(number),
                _ => selections.push((name, number.into_iter().collect())),
            }
        }
        selections
    }
}

#[tokio::test]
async fn a_selection_gets_those_who_are_due_and_a_new_one_those_who_are_again() {
    for fixture in Fixture::each().await {
        let mut everybody = people(3);
        everybody[1] = with(sent(20));
        everybody[2] = with(Facts { opens: 1, first_opened_at: Some(at(1)), ..sent(0) });
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &everybody).await;
        fixture.know(campaign, &[1, 2, 3]).await;
        let wanted = ReminderTerms { action: ReminderAction::Selection, max_reminders: 2, ..terms(campaign) };
        let rule = fixture.rule(wanted.clone()).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let reminded = fixture.remind(rule.id).await;
        assert_eq!((reminded.added, reminded.campaigns.len(), reminded.selections.len()), (1, 0, 1));
        assert_eq!(fixture.selections().await, [("Reminder: Spring".to_owned(), vec![])], "a job fills it");
        assert_eq!(fixture.add_members().await, [(1, vec![])]);
        assert_eq!(fixture.selections().await, [("Reminder: Spring".to_owned(), vec![1])]);

        fixture.clock.advance_seconds(20 * 3_600);
        let late = fixture.remind(rule.id).await;
        assert_eq!((late.added, late.selections.clone()), (1, reminded.selections));
        assert_eq!(fixture.add_members().await.len(), 1);
        assert_eq!(fixture.selections().await, [("Reminder: Spring".to_owned(), vec![1, 2])]);

        // The time until the second counts from when they became members.
        fixture.clock.advance_seconds(53 * 3_600);
        assert_eq!(fixture.preview(Some(rule.id), wanted).await.eligible, 1);
        let second = fixture.remind(rule.id).await;
        assert_eq!((second.added, fixture.add_members().await.len()), (1, 1));
        let expected = [("Reminder: Spring".to_owned(), vec![1, 2]), ("Reminder: Spring (2)".to_owned(), vec![1])];
        assert_eq!(fixture.selections().await, expected);
        assert_eq!(fixture.count("SELECT count(*) FROM campaign").await, 1);
        fixture.close().await;
    }
}

#[tokio::test]
async fn the_schedule_finds_who_is_due_again_in_a_selection() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &people(1)).await;
        let action = ReminderAction::Selection;
        fixture.rule(ReminderTerms { action, max_reminders: 2, after_hours: 48, ..terms(campaign) }).await;
        for hours in [49, 48] {
            fixture.clock.advance_seconds(hours * 3_600);
            let jobs = fixture.tick().await;
            assert_eq!(jobs.len(), 1);
            let reminded = super::super::run(&fixture.services, &fixture.claim(jobs[0]).await).await.expect("done");
            assert_eq!(reminded.added, 1);
        }
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_reminder_is_reported_as_a_selection_once_the_crm_knows_anybody() {
    for fixture in Fixture::each().await {
        let mut everybody = people(4);
        everybody[3] = with(sent(5));
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &everybody).await;
        let rule = fixture.rule(terms(campaign)).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let reminded = fixture.remind(rule.id).await;
        assert_eq!((reminded.added, reminded.selections.len()), (3, 0));
        assert!(fixture.selections().await.is_empty(), "nobody is in the CRM");

        // The first is known to the CRM now, and has read it: they are not on the list any more.
        fixture.know(campaign, &[1, 2, 4]).await;
        fixture.set(campaign, 1, &Facts { opens: 1, first_opened_at: Some(at(73)), ..sent(0) }).await;
        let child = reminded.campaigns[0];
        assert_eq!(take_out(&fixture.services, child).await.expect("compared"), 1);
        let again = fixture.remind(rule.id).await;
        assert_eq!((again.added, again.selections.len()), (0, 1), "what was left is reported");
        assert_eq!(fixture.add_members().await, [(1, vec![("NOT_IN_CRM".to_owned(), 1)])]);
        assert_eq!(fixture.selections().await, [("Reminder: Spring".to_owned(), vec![2])]);
        let nothing = fixture.remind(rule.id).await;
        assert_eq!((nothing.selections.len(), fixture.add_members().await.len()), (0, 0), "it is reported once");

        fixture.clock.advance_seconds(5 * 3_600);
        assert_eq!(fixture.remind(rule.id).await.added, 1);
        // Somebody deleted it in the CRM: there is another for those who come late, with everybody.
        fixture.run_sql("UPDATE selection SET deleted_at = 1", []).await;
        fixture.run_sql("UPDATE reminder SET is_unreported = TRUE", []).await;
        let anew = fixture.remind(rule.id).await;
        assert_eq!(anew.selections.len(), 1);
        fixture.marketer().cancel_campaign(child).await.expect("canceled");
        fixture.run_sql("UPDATE reminder SET is_unreported = TRUE", []).await;
        assert_eq!(fixture.remind(rule.id).await.selections.len(), 0, "it was called off");
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_campaign_is_sent_again_to_those_who_are_due() {
    for fixture in Fixture::each().await {
        let mut everybody = people(3);
        everybody[2] = with(Facts { opens: 1, first_opened_at: Some(at(1)), ..sent(0) });
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &everybody).await;
        let wanted = ReminderTerms { action: ReminderAction::Resend, max_reminders: 2, ..terms(campaign) };
        let rule = fixture.rule(wanted.clone()).await;
        fixture.clock.advance_seconds(73 * 3_600);
        let reminded = fixture.remind(rule.id).await;
        assert_eq!((reminded.added, reminded.campaigns.clone()), (2, vec![campaign]));
        let expected = [(RecipientStatus::Ready, None), (RecipientStatus::Ready, None), (RecipientStatus::Read, None)];
        assert_eq!(fixture.statuses(campaign).await, expected);
        let shown = fixture.reader().campaign(campaign).await.expect("read").expect("the campaign");
        assert_eq!((shown.state, shown.sent_at), (CampaignState::Sending, Some(at(0))));
        assert!(fixture.selections().await.is_empty());
        let preview = fixture.preview(Some(rule.id), wanted.clone()).await;
        assert_eq!(preview_counts(&preview), [("RESPONDED".to_owned(), 1), ("TOO_SOON".to_owned(), 2)]);

        // The campaign is under way again, and yet one that was sent: the second reminder follows the first.
        fixture
            .run_sql("UPDATE recipient SET status = 2, sent_at = $1 WHERE status = 1", [at(74).micros().into()])
            .await;
        crate::recount::recount(&fixture.services, Some(campaign), true).await.expect("recounted");
        fixture.run_sql("UPDATE attempt SET opens = 1, status = 4 WHERE number = 2", []).await;
        fixture.clock.advance_seconds(71 * 3_600);
        assert_eq!(fixture.remind(rule.id).await.added, 0, "it is too soon");
        fixture.clock.advance_seconds(3 * 3_600);
        let jobs = fixture.tick().await;
        assert_eq!(jobs.len(), 1);
        let second = super::super::run(&fixture.services, &fixture.claim(jobs[0]).await).await.expect("done");
        assert_eq!(second.added, 1, "the other read the first mail");
        let attempts = "SELECT count(*) FROM recipient WHERE number = 1 AND attempt = 3 OR number = 2 AND attempt = 2";
        assert_eq!(fixture.count(attempts).await, 2);
        fixture.close().await;
    }
}

#[tokio::test]
async fn an_attempt_is_taken_back_from_whoever_responds_before_it_is_sent() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &people(5)).await;
        let wanted = ReminderTerms { action: ReminderAction::Resend, max_reminders: 2, ..terms(campaign) };
        let rule = fixture.rule(wanted).await;
        fixture.clock.advance_seconds(73 * 3_600);
        assert_eq!(fixture.remind(rule.id).await.added, 5);
        assert_eq!(take_out(&fixture.services, campaign).await.expect("compared"), 0);

        // The first mail is read after all, by two; the sender has taken the reminder of the second in hand already.
        let read =
            format!("opens = 1, status = {}, first_opened_at = {}", RecipientStatus::Read.code(), at(73).micros());
        fixture.run_sql(&format!("UPDATE attempt SET {read} WHERE number IN (1, 2)"), []).await;
        fixture.set(campaign, 2, &Facts { queued_at: Some(at(73)), ..Facts::default() }).await;
        fixture.run_sql("UPDATE address SET health = 3, blocked_at = 1 WHERE email_key LIKE 'p3@%'", []).await;
        // What was sent meanwhile stays sent.
        fixture.run_sql("UPDATE attempt SET opens = 1 WHERE number = 4", []).await;
        fixture.set(campaign, 4, &sent(73)).await;
        fixture.clock.advance_seconds(3_600);
        fixture.tick().await;
        let expected = [
            (RecipientStatus::Read, None),
            (RecipientStatus::Blocked, Some(SkipReason::Responded)),
            (RecipientStatus::Sent, None),
            (RecipientStatus::Sent, None),
            (RecipientStatus::Ready, None),
        ];
        assert_eq!(fixture.statuses(campaign).await, expected);
        assert_eq!(take_out(&fixture.services, campaign).await.expect("compared"), 0, "all of it is done");
        assert_eq!(fixture.count("SELECT count(*) FROM attempt").await, 3, "those who are sent to again");
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE number IN (1, 3) AND attempt = 1").await, 2);

        // What was taken back is not made again, and counts as the reminder that it was.
        fixture.run_sql("UPDATE address SET health = 1, blocked_at = NULL", []).await;
        fixture.clock.advance_seconds(100 * 3_600);
        let again = fixture.remind(rule.id).await;
        let reasons = [("NOT_SENT".to_owned(), 1), ("RESPONDED".to_owned(), 3), ("TOO_SOON".to_owned(), 1)];
        assert_eq!((again.added, counts(&again.skipped_by_reason)), (0, reasons.to_vec()));
        fixture.close().await;
    }
}

#[tokio::test]
async fn calling_a_resend_off_leaves_the_campaign_as_it_was() {
    for fixture in Fixture::each().await {
        let mut everybody = many(1);
        everybody[1] = with(Facts { skip: Some(SkipReason::NoConsent), ..Facts::default() });
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &everybody).await;
        let before = fixture.statuses(campaign).await;
        let rule =
            fixture.rule(ReminderTerms { action: ReminderAction::Resend, max_reminders: 2, ..terms(campaign) }).await;
        fixture.clock.advance_seconds(73 * 3_600);
        assert_eq!(fixture.remind(rule.id).await.added, 1_999);
        // One is being sent to; one is to be sent to for the first time.
        fixture.set(campaign, 1, &sent(73)).await;
        fixture.set(campaign, 2, &Facts::default()).await;
        let row = fixture.marketer().cancel_campaign(campaign).await.expect("called off");
        assert_eq!(row.state, CampaignState::Sent);
        let mut expected = before;
        expected[1] = (RecipientStatus::Canceled, None);
        assert_eq!(fixture.statuses(campaign).await, expected);
        assert_eq!(fixture.count("SELECT count(*) FROM attempt").await, 1);
        let audited = "SELECT count(*) FROM audit_entry WHERE action = 'campaign.resend_canceled'";
        assert_eq!(fixture.count(audited).await, 1);

        // It stays called off for them, also where somebody has the campaign sent again for another reason.
        let again = fixture.remind(rule.id).await;
        let reasons = [("NOT_SENT".to_owned(), 1_999), ("TOO_SOON".to_owned(), 1)];
        assert_eq!((again.added, counts(&again.skipped_by_reason)), (0, reasons.to_vec()));
        fixture.close().await;
    }
}

#[tokio::test]
async fn many_attempts_are_taken_back_in_chunks() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &many(2)).await;
        let rule = fixture.rule(ReminderTerms { action: ReminderAction::Resend, ..terms(campaign) }).await;
        fixture.clock.advance_seconds(73 * 3_600);
        assert_eq!(fixture.remind(rule.id).await.added, 4_000);
        fixture.run_sql("UPDATE attempt SET clicks = 1, status = 5 WHERE number % 4 = 0", []).await;
        assert_eq!(take_out(&fixture.services, campaign).await.expect("compared"), 1_000);
        assert_eq!(fixture.count("SELECT count(*) FROM attempt").await, 3_000);
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE status = 5 AND attempt = 1").await, 1_000);
        fixture.close().await;
    }
}

#[tokio::test]
async fn whom_the_crm_forbids_to_write_to_is_not_reminded() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &people(3)).await;
        fixture.know(campaign, &[1, 2]).await;
        fixture.run_sql("UPDATE person SET no_mailing = TRUE WHERE crm_id LIKE '%p1'", []).await;
        fixture.clock.advance_seconds(73 * 3_600);
        for action in ReminderAction::ALL {
            let terms = ReminderTerms { action: *action, ..terms(campaign) };
            let expected = vec![("NO_CONSENT".to_owned(), 1)];
            assert_eq!(preview_counts(&fixture.preview(None, terms.clone()).await), expected, "{action}");
        }
        let child = fixture.remind(fixture.rule(terms(campaign)).await.id).await.campaigns[0];
        fixture.run_sql("UPDATE person SET consent = FALSE WHERE crm_id LIKE '%p2'", []).await;
        assert_eq!(take_out(&fixture.services, child).await.expect("compared"), 1);
        let expected = [(RecipientStatus::Blocked, Some(SkipReason::NoConsent)), (RecipientStatus::Ready, None)];
        assert_eq!(fixture.statuses(child).await, expected);
        fixture.close().await;
    }
}
