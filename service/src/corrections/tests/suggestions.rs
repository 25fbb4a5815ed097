//! Suggestions: which are made, and that nobody is asked twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use domain::correction::{PushState, SuggestionReason};
use domain::mx::{Exchange, MailExchanges};
use futures::future::BoxFuture;

use super::*;
use crate::corrections::suggest::{self, Suggested};
use crate::error::RefusalCode;

/// Says what it was told to, and counts how often it is asked.
#[derive(Default)]
struct Exchanges {
    known: Mutex<HashMap<&'static str, Exchange>>,
    asked: AtomicUsize,
}

impl MailExchanges for Exchanges {
    fn look_up<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Exchange> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.known.lock().expect("a lock").get(domain).copied().unwrap_or_default();
        Box::pin(std::future::ready(answer))
    }
}

async fn look(fixture: &Fixture, exchanges: &Arc<Exchanges>) -> Suggested {
    marketer(fixture).suggest_corrections().await.expect("asked");
    let job = claim(fixture, JobKind::SuggestCorrections).await;
    let exchanges: Arc<dyn MailExchanges> = exchanges.clone();
    suggest::run(&fixture.services, &job, &exchanges).await.expect("done")
}

async fn suggested(fixture: &Fixture) -> Vec<(String, String)> {
    in_state(fixture, CorrectionState::Suggested).await
}

fn pair(old: &str, new: &str) -> (String, String) {
    (old.to_owned(), new.to_owned())
}

#[tokio::test]
async fn addresses_that_mail_does_not_reach_are_looked_at_and_no_others() {
    for fixture in Fixture::each().await {
        sent_in_vain(&fixture, "sent", &["Erika@gmial.com", "max@kleinfirma.example", "eva@gmx.ed"]).await;
        fixture.import("email\nuwe@hotmial.com\nina@gmailcom\n").await;
        // Blocked by hand, full, and well again: none of them is written wrongly.
        for (key, outcomes, block) in [("a@gmial.com", "", 3), ("b@gmial.com", "F5 F4 F3", 2)] {
            run(
                &fixture,
                &format!(
                    "INSERT INTO address (email_key, outcomes, health, blocked_at, block_reason, created_at) \
                 VALUES ('{key}', '{outcomes}', 3, 5, {block}, 1)"
                ),
            )
            .await;
        }
        run(
            &fixture,
            "INSERT INTO address (email_key, outcomes, health, created_at) VALUES ('c@gmial.com', 'D5 H4', 1, 1)",
        )
        .await;
        run(
            &fixture,
            "INSERT INTO address (email_key, outcomes, health, created_at) VALUES ('d@gmial.com', 'N5', 2, 1)",
        )
        .await;
        let exchanges = Arc::new(Exchanges::default());
        let found = look(&fixture, &exchanges).await;
        assert_eq!((found.added, found.changed, found.removed), (4, 0, 0), "{found:?}");
        assert_eq!(
            suggested(&fixture).await,
            [
                pair("Erika@gmial.com", "Erika@gmail.com"),
                pair("d@gmial.com", "d@gmail.com"),
                pair("eva@gmx.ed", "eva@gmx.de"),
                pair("ina@gmailcom", "ina@gmail.com"),
            ]
        );
        assert_eq!(exchanges.asked.load(Ordering::SeqCst), 2, "of each domain once, and of no others");
        let again = look(&fixture, &exchanges).await;
        assert_eq!((again.added, again.changed, again.removed), (0, 0, 0), "nothing new");
        // Nothing is applied by itself.
        assert!(recipients(&fixture).await.iter().all(|line| !line.ends_with("corrected")));
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_is_accepted_is_applied_and_what_is_rejected_is_not_made_again() {
    for fixture in Fixture::each().await {
        sent_in_vain(&fixture, "sent", &["erika@gmial.com", "max@gmial.com", "eva@gmial.com"]).await;
        let exchanges = Arc::new(Exchanges::default());
        look(&fixture, &exchanges).await;
        let filter = CorrectionFilter { reasons: vec![SuggestionReason::TypoDomain], ..CorrectionFilter::default() };
        let all = corrections(&fixture, filter).await;
        let id = |old: &str| all.iter().find(|it| it.old_email == old).expect("a suggestion").id;
        let marketer = marketer(&fixture);
        let accepted = marketer.accept_suggestion(id("erika@gmial.com")).await.expect("accepted");
        assert_eq!((accepted.state, accepted.push), (CorrectionState::Applied, PushState::None));
        assert!(accepted.decided_by.is_some() && accepted.confidence.is_some_and(|it| it >= 50));
        marketer.reject_suggestion(id("max@gmial.com")).await.expect("rejected");
        for again in
            [marketer.accept_suggestion(id("max@gmial.com")).await, marketer.reject_suggestion(accepted.id).await]
        {
            assert_eq!(refused(again).code, RefusalCode::Conflict);
        }
        // By hand, to another one: the suggestion is over.
        correct(&fixture, "eva@gmial.com", "eva@y.example").await;
        assert_eq!(suggested(&fixture).await, []);
        assert_eq!(in_state(&fixture, CorrectionState::Superseded).await, [pair("eva@gmial.com", "eva@gmail.com")]);
        assert_eq!(
            recipients(&fixture).await,
            [
                "erika@gmail.com HARD_BOUNCED corrected",
                "max@gmial.com HARD_BOUNCED",
                "eva@y.example HARD_BOUNCED corrected"
            ]
        );
        look(&fixture, &exchanges).await;
        assert_eq!(suggested(&fixture).await, [], "neither what was rejected nor what was corrected");
        check(&fixture).await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn people_teach_what_becomes_of_a_domain() {
    for fixture in Fixture::each().await {
        sent_in_vain(&fixture, "sent", &["a@alt.example", "b@alt.example", "c@alt.example"]).await;
        let exchanges = Arc::new(Exchanges::default());
        look(&fixture, &exchanges).await;
        assert_eq!(suggested(&fixture).await, []);
        correct(&fixture, "a@alt.example", "a@neu-und-besser.example").await;
        look(&fixture, &exchanges).await;
        assert_eq!(suggested(&fixture).await, [], "one is not enough");
        correct(&fixture, "b@alt.example", "b@neu-und-besser.example").await;
        look(&fixture, &exchanges).await;
        assert_eq!(suggested(&fixture).await, [pair("c@alt.example", "c@neu-und-besser.example")]);
        // A third one makes it surer, the domain name system less so.
        let filter = CorrectionFilter { states: vec![CorrectionState::Suggested], ..CorrectionFilter::default() };
        let before = corrections(&fixture, filter.clone()).await[0].clone();
        exchanges.known.lock().expect("a lock").insert("alt.example", Exchange::Exists);
        assert_eq!(look(&fixture, &exchanges).await.changed, 1);
        let after = corrections(&fixture, filter).await[0].clone();
        assert_eq!((after.id, after.suggestion), (before.id, Some(SuggestionReason::Learned)));
        assert!(after.confidence < before.confidence, "{after:?}");
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_better_one_takes_the_place_of_a_suggestion_and_a_blocked_one_is_none() {
    for fixture in Fixture::each().await {
        sent_in_vain(&fixture, "sent", &["erika@firma.example"]).await;
        run(&fixture, "INSERT INTO person (id, crm_id, created_at, updated_at) VALUES (1, 'p1', 1, 1)").await;
        for (rank, key) in ["erika@firma.example", "alt@privat.example", "erika@privat.example"].into_iter().enumerate()
        {
            run(
                &fixture,
                &format!(
                    "INSERT INTO person_email (person_id, email_key, email, rank) VALUES (1, '{key}', '{key}', {rank})"
                ),
            )
            .await;
        }
        run(&fixture, "INSERT INTO address (email_key, health, blocked_at, block_reason, created_at) VALUES ('erika@privat.example', 3, 5, 1, 1)").await;
        let exchanges = Arc::new(Exchanges::default());
        look(&fixture, &exchanges).await;
        assert_eq!(
            suggested(&fixture).await,
            [pair("erika@firma.example", "alt@privat.example")],
            "the better one is blocked"
        );
        run(&fixture, "UPDATE address SET health = 1, blocked_at = NULL, block_reason = NULL WHERE email_key = 'erika@privat.example'").await;
        let found = look(&fixture, &exchanges).await;
        assert_eq!((found.added, found.changed), (0, 1));
        assert_eq!(suggested(&fixture).await, [pair("erika@firma.example", "erika@privat.example")]);
        // Mail reaches it by now.
        run(&fixture, "UPDATE address SET health = 1, blocked_at = NULL, block_reason = NULL, outcomes = 'D9' WHERE email_key = 'erika@firma.example'").await;
        assert_eq!(look(&fixture, &exchanges).await.removed, 1);
        assert_eq!(suggested(&fixture).await, []);
        fixture.close().await;
    }
}

#[tokio::test]
async fn looking_goes_on_where_a_worker_died() {
    for fixture in Fixture::each().await {
        let values: Vec<String> = (0..600).map(|number| format!("('a{number}@gmial.com', 'H5', 3, 5, 1, 1)")).collect();
        run(
            &fixture,
            &format!(
                "INSERT INTO address (email_key, outcomes, health, blocked_at, block_reason, created_at) VALUES {}",
                values.join(", ")
            ),
        )
        .await;
        let first = marketer(&fixture).suggest_corrections().await.expect("asked");
        assert_eq!(marketer(&fixture).suggest_corrections().await.expect("asked").id, first.id, "one at a time");
        let exchanges: Arc<dyn MailExchanges> = Arc::new(Exchanges::default());
        let services = &fixture.services;
        let lost = claim(&fixture, JobKind::SuggestCorrections).await;
        fixture.clock.advance_seconds(3_600);
        let job = claim(&fixture, JobKind::SuggestCorrections).await;
        assert!(matches!(suggest::run(services, &lost, &exchanges).await, Err(ServiceError::JobLost)));
        assert_eq!(fixture.count("SELECT count(*) FROM correction").await, 0);
        let found = suggest::run(services, &job, &exchanges).await.expect("done");
        assert_eq!((found.looked_at, found.added), (600, 600));
        assert_eq!(fixture.count("SELECT count(DISTINCT old_key) FROM correction WHERE state = 1").await, 600);
        fixture.close().await;
    }
}
