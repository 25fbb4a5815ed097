//! Making and cancelling campaigns.

use domain::Timestamp;
use domain::campaign::CampaignState;

use super::{CampaignRow, NewCampaign, find_campaign, find_or_create_campaign};
use crate::access::Marketer;
use crate::error::{RefusalCode, Result, ServiceError};
use crate::import::tests::Fixture;
use crate::subject::Subject;

fn new(key: &str, name: &str, state: CampaignState) -> NewCampaign {
    NewCampaign { key: key.to_owned(), name: name.to_owned(), subject: None, from_address: None, sent_at: None, state }
}

fn marketer(fixture: &Fixture) -> Marketer {
    fixture.services.access(Subject::command_line()).marketer().expect("a marketer")
}

fn refused(result: Result<CampaignRow>) -> (RefusalCode, Vec<String>) {
    match result {
        Err(ServiceError::Refused(refusal)) => (refusal.code, refusal.field),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_campaign_is_made_once() {
    for fixture in Fixture::each().await {
        let marketer = marketer(&fixture);
        let made = marketer.create_campaign(new(" autumn ", "Autumn", CampaignState::Sent)).await.expect("made");
        assert_eq!((made.key.as_str(), made.sent_at), ("autumn", Some(fixture.services.now())));
        assert_eq!(find_campaign(fixture.services.db.read(), "autumn").await.expect("found"), Some(made.clone()));
        let again = marketer.create_campaign(new("autumn", "Another", CampaignState::Draft)).await;
        assert_eq!(refused(again), (RefusalCode::Conflict, vec!["key".to_owned()]));
        let figures = format!("SELECT count(*) FROM campaign_statistics WHERE campaign_id = {}", made.id);
        assert_eq!(fixture.count(&figures).await, 1);
        let audit = format!("SELECT count(*) FROM audit_entry WHERE object = 'campaign:{}'", made.id);
        assert_eq!(fixture.count(&audit).await, 1);
        fixture.close().await;
    }
}

#[tokio::test]
async fn unusable_values_are_refused() {
    for fixture in Fixture::each().await {
        let marketer = marketer(&fixture);
        let long = "x".repeat(201);
        for (key, name, field) in [
            (" ", "A", "key"),
            ("a\nb", "A", "key"),
            (long.as_str(), "A", "key"),
            ("a", "", "name"),
            ("a", &long, "name"),
        ] {
            let result = marketer.create_campaign(new(key, name, CampaignState::Draft)).await;
            assert_eq!(refused(result), (RefusalCode::Invalid, vec![field.to_owned()]));
        }
        let canceled = marketer.create_campaign(new("a", "A", CampaignState::Canceled)).await;
        assert_eq!(refused(canceled), (RefusalCode::Invalid, vec!["state".to_owned()]));
        fixture.close().await;
    }
}

#[tokio::test]
async fn cancelling_cancels_those_that_are_ready() {
    for fixture in Fixture::each().await {
        let file = "email\nerika@example.com\nerika@example.com\nbert@example.org\nx@simulator.amazonses.com\n";
        fixture.import(file).await;
        let marketer = marketer(&fixture);
        for _ in 0..2 {
            let row = marketer.cancel_campaign(fixture.campaign).await.expect("cancelled");
            assert_eq!(row.state, CampaignState::Canceled);
        }
        let want = [
            "erika@example.com|||CANCELED",
            "erika@example.com|||DUPLICATE",
            "bert@example.org|||CANCELED",
            "x@simulator.amazonses.com|||CANCELED",
        ];
        assert_eq!(fixture.recipients().await, want);
        assert_eq!(fixture.count("SELECT canceled FROM campaign_statistics").await, 2);
        assert_eq!(fixture.count("SELECT count(*) FROM audit_entry WHERE action = 'campaign.canceled'").await, 1);
        fixture.check_figures().await;
        assert_eq!(fixture.refusal(file).await.code, RefusalCode::Conflict);

        let sent = fixture.campaign("sent", CampaignState::Sent).await;
        assert_eq!(refused(marketer.cancel_campaign(sent).await).0, RefusalCode::Conflict);
        assert_eq!(refused(marketer.cancel_campaign(4_711).await).0, RefusalCode::NotFound);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_known_campaign_is_found_and_marked_as_sent() {
    for fixture in Fixture::each().await {
        let find = |state, sent_at| {
            let campaign = NewCampaign { sent_at, ..new("spring", "Whatever", state) };
            let (db, now) = (fixture.services.db.clone(), fixture.services.now());
            async move { find_or_create_campaign(db.write(), &Subject::command_line(), now, campaign).await.expect("found") }
        };
        let at = Some(Timestamp::from_seconds(1_700_000_000));
        assert_eq!(find(CampaignState::Draft, None).await.state, CampaignState::Draft);
        let sent = find(CampaignState::Sent, at).await;
        assert_eq!(
            (sent.id, sent.name.as_str(), sent.state, sent.sent_at),
            (fixture.campaign, "spring", CampaignState::Sent, at)
        );
        assert_eq!(find(CampaignState::Draft, None).await, sent);
        assert_eq!(find(CampaignState::Sent, None).await, sent);
        fixture.close().await;
    }
}
