//! Rules: what may be said in them, and who said it.

use chrono::Weekday;
use domain::campaign::CampaignState;
use domain::reminder::{ReminderAction, ReminderAudience};

use super::{Fixture, refused, sent, terms, terms_for, with};
use crate::error::RefusalCode;
use crate::reminders::{ReminderTerms, Scope};

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[]).await;
        let good = terms(campaign);
        let window = |from: &str, to: &str, days: &[Weekday]| ReminderTerms {
            window: Some((from.to_owned(), to.to_owned(), days.to_vec())),
            ..good.clone()
        };
        let days = [Weekday::Mon];
        let invalid = RefusalCode::Invalid;
        for (terms, code, field) in [
            (ReminderTerms { campaign: None, ..good.clone() }, invalid, "campaignId"),
            (ReminderTerms { pattern: Some("S*".to_owned()), ..good.clone() }, invalid, "campaignId"),
            (terms(99), RefusalCode::NotFound, "campaignId"),
            (terms_for("  "), invalid, "campaignNamePattern"),
            (ReminderTerms { name: " ".to_owned(), ..good.clone() }, invalid, "name"),
            (ReminderTerms { after_hours: -1, ..good.clone() }, invalid, "afterHours"),
            (ReminderTerms { after_hours: 8_761, ..good.clone() }, invalid, "afterHours"),
            (ReminderTerms { max_reminders: 0, ..good.clone() }, invalid, "maxReminders"),
            (ReminderTerms { max_reminders: 11, ..good.clone() }, invalid, "maxReminders"),
            (ReminderTerms { time_zone: "Berlin".to_owned(), ..good.clone() }, invalid, "timeZone"),
            (window("8 o'clock", "18:00", &days), invalid, "sendBetween.from"),
            (window("08:00", "08:00", &days), invalid, "sendBetween.to"),
            (window("22:00", "06:00", &days), invalid, "sendBetween.to"),
            (window("08:00", "18:00", &[]), invalid, "sendBetween.days"),
            (
                ReminderTerms {
                    action: ReminderAction::Resend,
                    subject_prefix: Some("Again:".to_owned()),
                    ..good.clone()
                },
                invalid,
                "subjectPrefix",
            ),
            (ReminderTerms { subject_prefix: Some("a\nb".to_owned()), ..good.clone() }, invalid, "subjectPrefix"),
        ] {
            let expected = (code, field.to_owned());
            assert_eq!(
                refused(fixture.marketer().save_reminder_rule(None, terms.clone()).await),
                expected,
                "{terms:?}"
            );
            assert_eq!(refused(fixture.reader().reminder_preview(None, terms.clone()).await), expected, "{terms:?}");
        }
        let unknown = (RefusalCode::NotFound, "id".to_owned());
        assert_eq!(refused(fixture.marketer().save_reminder_rule(Some(9), good).await), unknown);
        assert_eq!(refused(fixture.marketer().delete_reminder_rule(9).await), unknown);
        assert_eq!(refused(fixture.marketer().run_reminder_now(9).await), (RefusalCode::NotFound, "ruleId".to_owned()));
        assert_eq!(fixture.count("SELECT count(*) FROM reminder_rule").await, 0);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_rule_is_kept_as_it_was_said_and_its_changes_are_audited() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("Spring", CampaignState::Sent, &[with(sent(0))]).await;
        let other = fixture.campaign("Summer", CampaignState::Draft, &[]).await;
        let terms = ReminderTerms {
            after_hours: 100,
            audience: ReminderAudience::NotClicked,
            max_reminders: 3,
            window: Some(("08:00".to_owned(), "18:30".to_owned(), vec![Weekday::Mon, Weekday::Sun])),
            subject_prefix: Some(" Again: ".to_owned()),
            ..terms(campaign)
        };
        let made = fixture.rule(terms.clone()).await;
        assert_eq!(fixture.reader().reminder_rule(made.id).await.expect("read"), Some(made.clone()));
        assert_eq!((made.targeting.after_hours, made.targeting.max_reminders), (100, 3));
        assert_eq!((made.subject_prefix.as_deref(), made.created_by.as_str()), (Some("Again:"), "cli"));
        let window = made.window.clone().expect("a window");
        assert_eq!((window.to.to_string(), window.days), ("18:30:00".to_owned(), vec![Weekday::Mon, Weekday::Sun]));

        fixture.clock.advance_seconds(60);
        let changed = ReminderTerms { campaign: None, pattern: Some("*ring".to_owned()), window: None, ..terms };
        let changed = fixture.marketer().save_reminder_rule(Some(made.id), changed).await.expect("changed");
        assert_eq!((changed.id, &changed.scope), (made.id, &Scope::Pattern("*ring".to_owned())));
        assert_eq!((changed.created_at, changed.window.is_none()), (made.created_at, true));
        assert!(changed.updated_at > made.updated_at);

        let second = fixture.rule(super::terms(other)).await;
        let ids = async |campaign| {
            let rules = fixture.reader().reminder_rules(campaign).await.expect("read");
            rules.into_iter().map(|rule| rule.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(None).await, [made.id, second.id]);
        assert_eq!(ids(Some(campaign)).await, [made.id]);
        assert_eq!(ids(Some(other)).await, [second.id]);
        assert_eq!(ids(Some(99)).await, Vec::<i64>::new());

        fixture.clock.advance_seconds(200 * 3_600);
        let child = fixture.remind(made.id).await.campaigns[0];
        fixture.marketer().delete_reminder_rule(made.id).await.expect("deleted");
        assert_eq!(ids(None).await, [second.id]);
        assert!(fixture.reader().campaign(child).await.expect("read").is_some(), "what it made stays");
        let audited = "SELECT count(*) FROM audit_entry WHERE action IN \
            ('reminder_rule.created', 'reminder_rule.changed', 'reminder_rule.deleted')";
        assert_eq!(fixture.count(audited).await, 4);
        fixture.close().await;
    }
}
