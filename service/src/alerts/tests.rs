//! Alerts over real databases: when they are raised, told and resolved, and what they leave alone.

use std::collections::HashMap;
use std::sync::Mutex;

use domain::campaign::CampaignState;
use domain::event::BounceClass;
use domain::notify::{AlertNotice, AlertNotifier, Channel, NotifyError};
use domain::reading::{Create, DeliveryReader, ReadError, Reading, StoredDelivery};
use domain::{Event, EventKind, Provider};
use futures::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::apply::Applier;
use crate::changes::Changes;
use crate::db::execute;
use crate::error::ServiceError;
use crate::import::tests::Fixture;
use crate::ingest::{Inbox, NewDelivery};
use crate::jobs::{self, JobKind, NewJob, Which};
use crate::subject::Subject;

const BOTH: &[Channel] = &[Channel::Webhook, Channel::Mail];

/// Looks at campaigns as a worker does; what the job answers.
async fn look(fixture: &Fixture) -> serde_json::Value {
    let services = &fixture.services;
    let now = services.now();
    let new = NewJob::new(JobKind::CheckAlerts, json!({}), "schedule", now);
    let id = jobs::enqueue(services.db.write(), new, now).await.expect("enqueued");
    let job = take(fixture, id).await;
    check(services, &job, BOTH).await.expect("looked");
    shown(fixture, id).await.result.expect("a result")
}

async fn take(fixture: &Fixture, id: i64) -> jobs::ClaimedJob {
    let services = &fixture.services;
    let claimed = jobs::claim(services, Which::Id(id), "worker", services.now(), services.lease_until()).await;
    claimed.expect("asked").expect("the job")
}

async fn shown(fixture: &Fixture, id: i64) -> jobs::Job {
    let reader = fixture.services.access(Subject::command_line()).reader();
    reader.require_job(id).await.expect("the job")
}

/// Sets the figures of a campaign, as of now.
async fn figures(fixture: &Fixture, campaign: i64, set: &[(&str, i64)]) {
    let db = fixture.services.db.write();
    let sql =
        "INSERT INTO campaign_statistics (campaign_id, updated_at) VALUES ($1, 0) ON CONFLICT (campaign_id) DO NOTHING";
    execute(db, sql, [campaign.into()]).await.expect(sql);
    let set: String = set.iter().map(|(figure, count)| format!("{figure} = {count}, ")).collect();
    let sql = format!("UPDATE campaign_statistics SET {set} updated_at = $2 WHERE campaign_id = $1");
    execute(db, &sql, [campaign.into(), fixture.services.now().micros().into()]).await.expect("updated");
}

async fn refused(fixture: &Fixture, campaign: i64, class: BounceClass, recipients: i64) {
    let sql = "INSERT INTO bounce_statistics (campaign_id, bounce_class, smtp_code, enhanced_code, recipients) VALUES ($1, $2, 550, '', $3)";
    let values = [campaign.into(), class.code().into(), recipients.into()];
    execute(fixture.services.db.write(), sql, values).await.expect(sql);
}

/// The alerts of a campaign as `KIND value/limit`, those that are over with a `-` before them, the latest first.
async fn alerts(fixture: &Fixture, campaign: i64) -> Vec<String> {
    let reader = fixture.services.access(Subject::command_line()).reader();
    let mut all: HashMap<i64, Vec<Alert>> = reader.alerts(&[campaign, 999], true).await.expect("alerts");
    let alerts = all.remove(&campaign).unwrap_or_default();
    let open = reader.alerts(&[campaign], false).await.expect("alerts").remove(&campaign).unwrap_or_default();
    assert_eq!(open, alerts.iter().copied().filter(|alert| alert.resolved_at.is_none()).collect::<Vec<_>>());
    let text = |alert: &Alert| {
        let over = if alert.resolved_at.is_some() { "-" } else { "" };
        format!("{over}{} {}/{}", alert.finding.kind, alert.finding.value, alert.finding.limit)
    };
    alerts.iter().map(text).collect()
}

#[tokio::test]
async fn rates_over_their_limits_are_raised_once_grow_worse_and_end() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign;
        figures(
            &fixture,
            campaign,
            &[("delivered_only", 900), ("hard_bounced", 60), ("soft_bounced", 40), ("complained", 2)],
        )
        .await;
        refused(&fixture, campaign, BounceClass::Block, 15).await;
        refused(&fixture, campaign, BounceClass::Content, 10).await;
        refused(&fixture, campaign, BounceClass::MailboxFull, 50).await;
        refused(&fixture, campaign, BounceClass::AutoReply, 25).await;
        assert_eq!(look(&fixture).await, json!({ "campaigns": 1, "raised": 3, "resolved": 0 }));
        let expected = ["SENDER_REFUSALS 0.025/0.02", "COMPLAINT_RATE 0.002222/0.001", "BOUNCE_RATE 0.1/0.05"];
        assert_eq!(alerts(&fixture, campaign).await, expected);
        let audited = "SELECT count(*) FROM audit_entry WHERE action = 'alert.raised'";
        let told = "SELECT count(*) FROM job WHERE kind = 14";
        assert_eq!((fixture.count(audited).await, fixture.count(told).await), (3, 6));

        // Worse: the same alert, told once.
        fixture.clock.advance_seconds(60);
        figures(&fixture, campaign, &[("delivered_only", 800), ("hard_bounced", 160)]).await;
        assert_eq!(look(&fixture).await["raised"], 0);
        assert_eq!(alerts(&fixture, campaign).await[2], "BOUNCE_RATE 0.2/0.05");
        assert_eq!((fixture.count(audited).await, fixture.count(told).await), (3, 6));

        // Deliveries came late.
        fixture.clock.advance_seconds(60);
        figures(&fixture, campaign, &[("delivered_only", 980), ("hard_bounced", 20), ("soft_bounced", 0)]).await;
        assert_eq!(look(&fixture).await, json!({ "campaigns": 1, "raised": 0, "resolved": 1 }));
        assert_eq!(alerts(&fixture, campaign).await[2], "-BOUNCE_RATE 0.2/0.05");
        assert_eq!(fixture.count("SELECT count(*) FROM audit_entry WHERE action = 'alert.resolved'").await, 1);

        // And again: another alert.
        fixture.clock.advance_seconds(60);
        figures(&fixture, campaign, &[("hard_bounced", 220)]).await;
        assert_eq!(look(&fixture).await["raised"], 1);
        let texts = alerts(&fixture, campaign).await;
        assert_eq!(
            (texts.len(), texts[0].starts_with("BOUNCE_RATE"), texts[3].starts_with("-BOUNCE_RATE")),
            (4, true, true)
        );
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_few_recipients_raise_nothing_and_what_did_not_move_is_left_alone() {
    for fixture in Fixture::each().await {
        figures(&fixture, fixture.campaign, &[("hard_bounced", 99)]).await;
        assert_eq!(look(&fixture).await, json!({ "campaigns": 1, "raised": 0, "resolved": 0 }));
        // Behind the slack nothing has moved.
        fixture.clock.advance_seconds(600);
        assert_eq!(look(&fixture).await["campaigns"], 1);
        fixture.clock.advance_seconds(600);
        assert_eq!(look(&fixture).await["campaigns"], 0);

        // Other limits: what has not moved is looked at anew.
        let admin = fixture.services.access(Subject::command_line()).admin().expect("an admin");
        let change = serde_json::from_value(json!({ "alertMinimumSample": 50 })).expect("a change");
        admin.update_settings(change).await.expect("changed");
        assert_eq!(look(&fixture).await, json!({ "campaigns": 1, "raised": 1, "resolved": 0 }));
        assert_eq!(alerts(&fixture, fixture.campaign).await, ["BOUNCE_RATE 1/0.05"]);

        // A limit that is raised makes nothing better by itself.
        let change = serde_json::from_value(json!({ "bounceRateAlert": 1.0 })).expect("a change");
        admin.update_settings(change).await.expect("changed");
        assert_eq!(look(&fixture).await, json!({ "campaigns": 1, "raised": 0, "resolved": 0 }));
        fixture.close().await;
    }
}

#[tokio::test]
async fn silence_after_the_sending_is_noticed_and_ends_with_the_first_event() {
    for fixture in Fixture::each().await {
        let sent = fixture.campaign("sent", CampaignState::Sent).await;
        let heard = fixture.campaign("heard", CampaignState::Sent).await;
        let draft = fixture.campaign;
        for campaign in [sent, heard, draft] {
            figures(&fixture, campaign, &[("sent_only", 10)]).await;
        }
        figures(&fixture, heard, &[("machine_opened", 1)]).await;
        fixture.clock.advance_seconds(6 * 3_600 - 1);
        assert_eq!(look(&fixture).await["raised"], 0);
        fixture.clock.advance_seconds(1);
        assert_eq!(look(&fixture).await["raised"], 1);
        assert_eq!(alerts(&fixture, sent).await, ["NO_EVENTS 6/6"]);
        assert_eq!((alerts(&fixture, heard).await.len(), alerts(&fixture, draft).await.len()), (0, 0));

        fixture.clock.advance_seconds(24 * 3_600);
        assert_eq!(look(&fixture).await["raised"], 0);
        assert_eq!(alerts(&fixture, sent).await, ["NO_EVENTS 30/6"]);

        // One that changes no figure: the provider took the mail over.
        let sql = "INSERT INTO event (provider, event_id, occurred_at, id, kind, campaign_id, recipient) VALUES (1, 'a', $2, 1, 1, $1, 1)";
        let at = fixture.services.now();
        execute(fixture.services.db.write(), sql, [sent.into(), at.micros().into()]).await.expect(sql);
        fixture.clock.advance_seconds(600);
        assert_eq!(look(&fixture).await["resolved"], 1);
        assert_eq!(alerts(&fixture, sent).await, ["-NO_EVENTS 30/6"]);
        fixture.clock.advance_seconds(600);
        assert_eq!(look(&fixture).await["raised"], 0);
        fixture.close().await;
    }
}

#[tokio::test]
async fn campaigns_are_looked_at_in_batches_and_by_two_workers_once() {
    for fixture in Fixture::each().await {
        let db = fixture.services.db.write();
        let all =
            "WITH RECURSIVE n (id) AS (SELECT CAST(1000 AS BIGINT) UNION ALL SELECT id + 1 FROM n WHERE id < 1449)";
        for sql in [
            "INSERT INTO campaign (id, key, name, state, created_by, created_at) SELECT id, 'k' || id, 'X', 1, 'cli', 0 FROM n",
            "INSERT INTO campaign_statistics (campaign_id, hard_bounced, updated_at) SELECT id, 100, 1767225600000000 FROM n",
        ] {
            execute(db, &format!("{all} {sql}"), []).await.expect(sql);
        }
        let now = fixture.services.now();
        let mut claimed = Vec::new();
        for _ in 0..2 {
            let new = NewJob::new(JobKind::CheckAlerts, json!({}), "schedule", now);
            let id = jobs::enqueue(db, new, now).await.expect("enqueued");
            claimed.push(take(&fixture, id).await);
        }
        let (one, other) =
            tokio::join!(check(&fixture.services, &claimed[0], BOTH), check(&fixture.services, &claimed[1], BOTH));
        one.and(other).expect("looked");
        let mut raised = 0;
        for job in &claimed {
            let result = shown(&fixture, job.id).await.result.expect("a result");
            // With the campaign that is always there.
            assert_eq!(result["campaigns"], 451);
            raised += result["raised"].as_i64().expect("a number");
        }
        assert_eq!((raised, fixture.count("SELECT count(*) FROM alert").await), (450, 450));
        assert_eq!(fixture.count("SELECT count(*) FROM job WHERE kind = 14").await, 900);
        fixture.close().await;
    }
}

/// Reads every delivery as these events.
struct Given(Vec<Event>);

impl DeliveryReader for Given {
    fn read(&self, _delivery: &StoredDelivery) -> Result<Reading, ReadError> {
        Ok(Reading { events: self.0.clone(), failures: Vec::new() })
    }

    fn may_create(&self, _source: &str) -> Create {
        Create::Campaigns
    }
}

fn refusal(number: usize) -> Event {
    Event {
        provider: Provider::Generic,
        event_id: format!("e{number}"),
        kind: EventKind::Blocked,
        message_id: None,
        recipient: Some(format!("person{number}@example.com")),
        occurred_at: Timestamp::from_seconds(1_767_200_000),
        bounce_class: Some(BounceClass::Block),
        smtp_code: Some(550),
        enhanced_code: None,
        diagnostic: Some("550 your network is on our block list".to_owned()),
        url: None,
        verdict: None,
        campaign: Some("refused".to_owned()),
        recipient_ref: None,
        tags: Default::default(),
        metadata: Default::default(),
    }
}

#[tokio::test]
async fn refusals_because_of_the_sender_raise_an_alert_and_touch_no_address() {
    for fixture in Fixture::each().await {
        let services = &fixture.services;
        let events = (0..120).map(refusal).collect();
        let applier = Applier::new(
            services.db.clone(),
            fixture.clock.clone(),
            std::sync::Arc::new(Given(events)),
            Changes::default(),
        );
        let (inbox, writer) = Inbox::new(services.db.clone(), || {});
        let writer = tokio::spawn(writer);
        let delivery = NewDelivery {
            source: "test".into(),
            provider: Provider::Generic,
            received_at: services.now(),
            headers: Vec::new(),
            body: b"x".to_vec(),
            unreadable: None,
        };
        inbox.store(delivery).await.expect("stored");
        drop(inbox);
        writer.await.expect("the writer ends");
        applier.apply_next().await.expect("applied");

        look(&fixture).await;
        let campaign = fixture.count("SELECT id FROM campaign WHERE key = 'refused'").await;
        assert_eq!(alerts(&fixture, campaign).await[0], "SENDER_REFUSALS 1/0.02");
        assert_eq!(fixture.count("SELECT count(*) FROM address").await, 120);
        let touched =
            "SELECT count(*) FROM address WHERE health <> 1 OR consecutive_soft_bounces > 0 OR blocked_at IS NOT NULL";
        assert_eq!(fixture.count(touched).await, 0);
        fixture.close().await;
    }
}

/// Answers what it is told to, and notes what it was asked.
struct Scripted {
    answers: Mutex<Vec<Result<(), NotifyError>>>,
    told: Mutex<Vec<(Channel, AlertNotice)>>,
}

impl AlertNotifier for Scripted {
    fn channels(&self) -> &[Channel] {
        BOTH
    }

    fn notify<'a>(&'a self, channel: Channel, notice: &'a AlertNotice) -> BoxFuture<'a, Result<(), NotifyError>> {
        self.told.lock().expect("unharmed").push((channel, notice.clone()));
        let answer = self.answers.lock().expect("unharmed").remove(0);
        Box::pin(std::future::ready(answer))
    }
}

#[tokio::test]
async fn an_alert_is_told_by_each_channel_and_again_only_where_that_failed() {
    for fixture in Fixture::each().await {
        let services = &fixture.services;
        figures(&fixture, fixture.campaign, &[("hard_bounced", 100)]).await;
        look(&fixture).await;
        let away = || NotifyError::Unavailable("it is away".into());
        let gone = NotifyError::Refused("it answers 410".to_owned());
        let notifier = Scripted { answers: Mutex::new(vec![Err(away()), Ok(()), Err(gone)]), told: Mutex::default() };
        let rows = fixture.rows("SELECT id, idempotency_key FROM job WHERE kind = 14 ORDER BY id").await;
        let told: Vec<(i64, String)> = rows.iter().map(|row| row.try_get_many_by_index().expect("a job")).collect();
        let alert = fixture.count("SELECT id FROM alert").await;
        assert_eq!(told[0].1, format!("notify:{alert}:webhook"));
        assert_eq!(told[1].1, format!("notify:{alert}:mail"));

        let webhook = take(&fixture, told[0].0).await;
        let failed = tell(services, &webhook, &notifier).await.expect_err("away");
        assert!(matches!(failed, ServiceError::Outside { .. }) && failed.is_transient(), "{failed:?}");
        tell(services, &webhook, &notifier).await.expect("told");
        assert_eq!(shown(&fixture, webhook.id).await.state, jobs::JobState::Succeeded);
        let mail = take(&fixture, told[1].0).await;
        match tell(services, &mail, &notifier).await {
            Err(ServiceError::Refused(refusal)) => assert_eq!(refusal.message, "it answers 410"),
            other => panic!("{other:?}"),
        }
        let notices = notifier.told.into_inner().expect("unharmed");
        assert_eq!(
            notices.iter().map(|(channel, _)| *channel).collect::<Vec<_>>(),
            [Channel::Webhook, Channel::Webhook, Channel::Mail]
        );
        assert_eq!(notices[0], notices[1]);
        assert_eq!((notices[0].1.id, notices[0].1.campaign_key.as_str()), (alert, "spring"));
        fixture.close().await;
    }
}
