//! Resends over real databases: who gets another attempt, and that nobody gets two of them, whatever is killed.

use domain::campaign::CampaignState;
use domain::facts::{Facts, Failure, Gravity};
use domain::health::AddressHealth;
use domain::reminder::Address;
use domain::resend::ResendScope;
use domain::status::{RecipientStatus, SkipReason};

use super::Resent;
use super::job::CHUNK;
use crate::error::{RefusalCode, ServiceError};
use crate::jobs::ClaimedJob;
use crate::recipients::{RecipientFilter, RecipientKey, RecipientSet, RecipientsWhere};
use crate::reminders::take_out;
use crate::reminders::tests::{Fixture, Somebody, WELL, at, counts, refused, sent, with};

const READY: (RecipientStatus, Option<SkipReason>) = (RecipientStatus::Ready, None);

fn bounced(gravity: Gravity) -> Facts {
    let failure =
        Failure { gravity, at: at(2), class: None, smtp_code: Some(550), enhanced_code: None, diagnostic: None };
    let facts = Facts { failure: Some(failure), ..sent(1) };
    match gravity {
        Gravity::Hard => Facts { hard_bounced_at: Some(at(2)), ..facts },
        Gravity::Soft => Facts { last_soft_bounced_at: Some(at(2)), ..facts },
        Gravity::Refused => Facts { refused_at: Some(at(2)), sent_at: None, ..facts },
    }
}

fn skipped(reason: SkipReason) -> Somebody {
    with(Facts { skip: Some(reason), ..Facts::default() })
}

fn all(campaign: i64) -> RecipientSet {
    RecipientSet::Where(RecipientsWhere { campaign, filter: RecipientFilter::default(), search: None })
}

impl Fixture {
    async fn ask(&self, campaign: i64, scope: ResendScope) -> ClaimedJob {
        let chosen = (scope == ResendScope::Chosen).then(|| all(campaign));
        let job = self.marketer().resend(campaign, scope, chosen).await.expect("a job");
        self.claim(job.id).await
    }

    async fn resend(&self, campaign: i64, scope: ResendScope) -> Resent {
        super::run(&self.services, &self.ask(campaign, scope).await).await.expect("done")
    }

    async fn state(&self, campaign: i64) -> CampaignState {
        let state = self.count(&format!("SELECT CAST(state AS bigint) FROM campaign WHERE id = {campaign}")).await;
        CampaignState::from_code(i16::try_from(state).expect("small")).expect("a state")
    }
}

fn people() -> Vec<Somebody> {
    let at_address = |address| Somebody { address, ..with(bounced(Gravity::Hard)) };
    vec![
        with(bounced(Gravity::Hard)),
        with(bounced(Gravity::Soft)),
        with(bounced(Gravity::Refused)),
        with(Facts::default()),
        with(sent(1)),
        with(Facts { delivered_at: Some(at(2)), last_delivered_at: Some(at(2)), ..sent(1) }),
        with(Facts { opens: 1, first_opened_at: Some(at(3)), ..bounced(Gravity::Hard) }),
        with(Facts { complained_at: Some(at(3)), ..bounced(Gravity::Soft) }),
        at_address(Address { health: AddressHealth::Blocked, ..WELL }),
        at_address(Address { is_consent_withdrawn: true, ..WELL }),
        at_address(Address { is_unsubscribed: true, ..WELL }),
        at_address(Address { is_former_employee: true, ..WELL }),
        skipped(SkipReason::Duplicate),
        skipped(SkipReason::BlockedAddress),
        Somebody { address: Address { health: AddressHealth::Blocked, ..WELL }, ..skipped(SkipReason::BlockedAddress) },
    ]
}

fn reasons(list: &[(&str, i64)]) -> Vec<(String, i64)> {
    list.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
}

#[tokio::test]
async fn those_who_have_not_got_it_get_another_attempt_and_nobody_else() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("spring", CampaignState::Sent, &people()).await;
        let before = fixture.statuses(campaign).await;
        let resent = fixture.resend(campaign, ResendScope::Chosen).await;
        assert_eq!((resent.added, resent.unchanged), (4, 1));
        let want = [
            ("BLOCKED_ADDRESS", 2),
            ("COMPLAINED", 1),
            ("DELIVERED", 1),
            ("DUPLICATE", 1),
            ("FORMER_EMPLOYEE", 1),
            ("NO_CONSENT", 1),
            ("RESPONDED", 1),
            ("SENT", 1),
            ("UNSUBSCRIBED", 1),
        ];
        assert_eq!(counts(&resent.skipped_by_reason), reasons(&want));
        let after = fixture.statuses(campaign).await;
        for (place, (before, after)) in before.iter().zip(&after).enumerate() {
            let is_ready = [0, 1, 2, 3, 13].contains(&place);
            assert_eq!(*after, if is_ready { READY } else { *before }, "{place}");
        }
        // What became of them stays with the first attempt; who was never sent to has none.
        assert_eq!(fixture.count("SELECT count(*) FROM attempt").await, 3);
        assert_eq!(
            fixture.count("SELECT count(*) FROM attempt WHERE failure_smtp_code = 550 AND attempt = 1").await,
            3
        );
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE attempt = 2 AND status = 1").await, 3);
        let keys = [1, 4].map(|number| RecipientKey { campaign, number });
        let earlier = fixture.reader().earlier_attempts(&keys).await.expect("attempts");
        assert_eq!(earlier.len(), 1);
        let first = &earlier[&keys[0]][0];
        assert_eq!((first.number, first.status, first.sent_at), (1, RecipientStatus::HardBounced, Some(at(1))));
        assert_eq!(first.bounce_reason.as_deref(), Some("550"));
        // So that sending picks them up.
        assert_eq!(fixture.state(campaign).await, CampaignState::Sending);

        // The button is pressed again: they are to be sent to already.
        let again = fixture.resend(campaign, ResendScope::Chosen).await;
        assert_eq!((again.added, again.unchanged), (0, 5));
        assert_eq!(fixture.count("SELECT count(*) FROM attempt").await, 3);
        fixture.close().await;
    }
}

#[tokio::test]
async fn only_updated_is_for_those_whose_address_was_corrected_since_it_failed() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("spring", CampaignState::Sent, &people()).await;
        assert_eq!(fixture.resend(campaign, ResendScope::OnlyUpdated).await.added, 0);
        assert_eq!(fixture.state(campaign).await, CampaignState::Sent, "nobody is to be sent to");
        // One before it failed; one who has got it; one at an address that is blocked all the same.
        for (number, hour) in [(1, 5), (2, 1), (6, 5), (9, 5)] {
            let sql = "UPDATE recipient SET corrected_at = $3 WHERE campaign_id = $1 AND number = $2";
            fixture.run_sql(sql, [campaign.into(), i64::from(number).into(), at(hour).micros().into()]).await;
        }
        let resent = fixture.resend(campaign, ResendScope::OnlyUpdated).await;
        assert_eq!((resent.added, resent.unchanged), (1, 0));
        assert_eq!(counts(&resent.skipped_by_reason), reasons(&[("BLOCKED_ADDRESS", 1), ("DELIVERED", 1)]));
        assert_eq!(fixture.statuses(campaign).await[0], READY);
        // It fails again: it was not corrected since.
        fixture.set(campaign, 1, &Facts { hard_bounced_at: Some(at(9)), ..later(&bounced(Gravity::Hard), 9) }).await;
        assert_eq!(fixture.resend(campaign, ResendScope::OnlyUpdated).await.added, 0);
        fixture.close().await;
    }
}

#[tokio::test]
async fn whom_an_earlier_mail_reached_after_all_is_taken_back_and_not_sent_to_again() {
    for fixture in Fixture::each().await {
        let campaign =
            fixture.campaign("spring", CampaignState::Sent, &[0; 4].map(|_| with(bounced(Gravity::Soft)))).await;
        assert_eq!(fixture.resend(campaign, ResendScope::Chosen).await.added, 4);
        // Of three the first mail arrives after all; one of these is being sent to again, and one fails again.
        let late = "UPDATE attempt SET status = $1, delivered_at = $2, last_delivered_at = $2 WHERE number < 4";
        fixture.run_sql(late, [RecipientStatus::Delivered.code().into(), at(3).micros().into()]).await;
        fixture.set(campaign, 2, &sent(5)).await;
        fixture.set(campaign, 3, &later(&bounced(Gravity::Soft), 9)).await;
        assert_eq!(take_out(&fixture.services, campaign).await.expect("looked at"), 1);
        assert_eq!(fixture.statuses(campaign).await[0], (RecipientStatus::Delivered, None));
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE number = 1 AND attempt = 1").await, 1);
        let again = fixture.resend(campaign, ResendScope::Chosen).await;
        assert_eq!((again.added, again.unchanged), (0, 1));
        assert_eq!(counts(&again.skipped_by_reason), reasons(&[("DELIVERED", 2), ("SENT", 1)]));
        fixture.close().await;
    }
}

fn later(facts: &Facts, hour: i64) -> Facts {
    Facts { failure: facts.failure.clone().map(|failure| Failure { at: at(hour), ..failure }), ..facts.clone() }
}

#[tokio::test]
async fn not_yet_sent_starts_no_attempt_for_those_who_were() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("spring", CampaignState::Sent, &people()).await;
        let resent = fixture.resend(campaign, ResendScope::NotYetSent).await;
        assert_eq!((resent.added, resent.unchanged), (1, 1));
        let want = [("BLOCKED_ADDRESS", 1), ("DUPLICATE", 1), ("PROVIDER_REFUSED", 1)];
        assert_eq!(counts(&resent.skipped_by_reason), reasons(&want));
        assert_eq!(fixture.count("SELECT count(*) FROM attempt").await, 0);
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE attempt > 1").await, 0);
        let draft = fixture.campaign("draft", CampaignState::Draft, &people()).await;
        fixture.resend(draft, ResendScope::NotYetSent).await;
        assert_eq!(fixture.state(draft).await, CampaignState::Draft);
        fixture.close().await;
    }
}

#[tokio::test]
async fn whom_the_crm_forbids_is_not_written_to() {
    for fixture in Fixture::each().await {
        let people = [with(bounced(Gravity::Soft)), with(bounced(Gravity::Soft)), skipped(SkipReason::NoConsent)];
        let campaign = fixture.campaign("spring", CampaignState::Sent, &people).await;
        fixture.run_sql("UPDATE recipient SET crm_id = 'p' || number", []).await;
        for (id, no_mailing, consent) in [("p1", true, None), ("p2", false, None), ("p3", false, Some(false))] {
            let sql =
                "INSERT INTO person (crm_id, no_mailing, consent, created_at, updated_at) VALUES ($1, $2, $3, 0, 0)";
            fixture.run_sql(sql, [id.into(), no_mailing.into(), consent.into()]).await;
        }
        let resent = fixture.resend(campaign, ResendScope::Chosen).await;
        assert_eq!((resent.added, counts(&resent.skipped_by_reason)), (1, reasons(&[("NO_CONSENT", 2)])));
        assert_eq!(fixture.statuses(campaign).await[1], READY);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_is_killed_gives_nobody_two_attempts() {
    for fixture in Fixture::each().await {
        let many = usize::try_from(CHUNK * 2 + CHUNK / 2).expect("few");
        let people: Vec<Somebody> = (0..many).map(|_| with(bounced(Gravity::Soft))).collect();
        let campaign = fixture.campaign("spring", CampaignState::Sent, &people).await;
        let lost = fixture.ask(campaign, ResendScope::Chosen).await;
        let payload = serde_json::from_value(lost.payload.clone()).expect("a payload");
        let mut position = super::job::begin(&fixture.services, &payload).await.expect("begun");
        assert!(!super::job::step(&fixture.services, &lost, &payload, &mut position).await.expect("a part"));
        // The worker hangs; its lease runs out, and another one has the job.
        fixture.clock.advance_seconds(fixture.services.lease_seconds() + 1);
        let job = fixture.claim(lost.id).await;
        let error = super::job::step(&fixture.services, &lost, &payload, &mut position).await;
        assert!(matches!(error, Err(ServiceError::JobLost)), "{error:?}");
        let resent = super::run(&fixture.services, &job).await.expect("done");
        let want = i64::try_from(many).expect("few");
        assert_eq!((resent.added, resent.unchanged), (want, 0), "none is dealt with twice");
        assert_eq!(fixture.count("SELECT count(*) FROM attempt WHERE attempt = 1").await, want);
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE attempt = 2 AND status = 1").await, want);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_sent_again_is_refused() {
    for fixture in Fixture::each().await {
        let campaign = fixture.campaign("spring", CampaignState::Sent, &people()).await;
        let canceled = fixture.campaign("off", CampaignState::Draft, &[]).await;
        fixture.marketer().cancel_campaign(canceled).await.expect("cancelled");
        let marketer = fixture.marketer();
        let other = all(canceled);
        for (campaign, scope, chosen, want) in [
            (campaign, ResendScope::Chosen, None, (RefusalCode::Invalid, "")),
            (campaign, ResendScope::Chosen, Some(other), (RefusalCode::Invalid, "recipients")),
            (campaign, ResendScope::OnlyUpdated, Some(all(campaign)), (RefusalCode::Invalid, "")),
            (canceled, ResendScope::NotYetSent, None, (RefusalCode::Conflict, "campaignId")),
            (99, ResendScope::NotYetSent, None, (RefusalCode::NotFound, "campaignId")),
        ] {
            let got = refused(marketer.resend(campaign, scope, chosen).await);
            assert_eq!(got, (want.0, want.1.to_owned()));
        }
        fixture.close().await;
    }
}
