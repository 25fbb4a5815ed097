//! Corrections by hand, and the recipients who follow.

use domain::correction::{CorrectionState, PushState};
use domain::health::AddressHealth;

use super::*;
use crate::corrections::follow;
use crate::error::RefusalCode;
use crate::recipients::filter::RecipientFilter;
use crate::recipients::{RecipientOrder, RecipientQuery};
use crate::subject::Role;

#[tokio::test]
async fn who_is_still_to_be_sent_to_follows() {
    for fixture in Fixture::each().await {
        fixture
            .import(
                "email\nErika@gmial.example\nmax@y.example\nerika@gmial.example\nnew@y.example\nnew2@gmial.example\n",
            )
            .await;
        assert_eq!(recipients(&fixture).await[2], "erika@gmial.example DUPLICATE");
        let corrected = correct(&fixture, " ERIKA@gmial.example", "Erika@gmail.example").await;
        assert_eq!((corrected.old_email.as_str(), corrected.state), ("ERIKA@gmial.example", CorrectionState::Applied));
        assert_eq!(corrected.push, PushState::None, "nobody in the CRM has it");
        assert_eq!(
            recipients(&fixture).await,
            [
                "Erika@gmail.example READY corrected",
                "max@y.example READY",
                "Erika@gmail.example DUPLICATE corrected",
                "new@y.example READY",
                "new2@gmial.example READY",
            ]
        );
        check(&fixture).await;
        // The campaign has this address already.
        correct(&fixture, "new2@gmial.example", "new@y.example").await;
        assert_eq!(recipients(&fixture).await[4], "new@y.example DUPLICATE corrected");
        check(&fixture).await;
        let audited = "SELECT count(*) FROM audit_entry WHERE action = 'address.corrected' AND object LIKE 'correction:%' \
                       AND detail NOT LIKE '%@%' AND detail LIKE '%\"was\":%'";
        assert_eq!(fixture.count(audited).await, 2);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_blocked_recipient_becomes_ready_and_another_stays_blocked() {
    for fixture in Fixture::each().await {
        fixture.import("email\na@x.example\nb@x.example\nkaputt\n").await;
        run(&fixture, "UPDATE address SET health = 3, blocked_at = 5, block_reason = 1, outcomes = 'H5' WHERE email_key LIKE '%@x.example'").await;
        fixture.import("email\na@x.example\nb@x.example\nkaputt\n").await;
        work_off(&fixture.services).await;
        assert_eq!(
            recipients(&fixture).await,
            ["a@x.example BLOCKED_ADDRESS", "b@x.example BLOCKED_ADDRESS", "kaputt INVALID_ADDRESS"]
        );
        correct(&fixture, "a@x.example", "a@z.example").await;
        correct(&fixture, "kaputt", "heil@z.example").await;
        assert_eq!(
            recipients(&fixture).await,
            ["a@z.example READY corrected", "b@x.example BLOCKED_ADDRESS", "heil@z.example READY corrected"]
        );
        let new = reader(&fixture).address("a@z.example").await.expect("asked").expect("an address");
        assert_eq!((new.health, new.blocked_at), (AddressHealth::Ok, None), "it begins anew");
        check(&fixture).await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn who_complained_is_left_alone_at_the_new_address_too() {
    for fixture in Fixture::each().await {
        run(&fixture, "INSERT INTO address (email_key, last_complained_at, complained_at, created_at) VALUES ('a@x.example', 5, 5, 1)").await;
        fixture.import("email\na@x.example\n").await;
        correct(&fixture, "a@x.example", "a@y.example").await;
        assert_eq!(recipients(&fixture).await, ["a@y.example NO_CONSENT corrected"]);
        let new = reader(&fixture).address("a@y.example").await.expect("asked").expect("an address");
        assert!(new.consent_withdrawn);
        check(&fixture).await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn to_whom_it_was_sent_in_vain_is_marked_as_corrected() {
    for fixture in Fixture::each().await {
        let campaign = sent_in_vain(
            &fixture,
            "sent",
            &["a@gmial.example", "b@gmial.example", "b@gmail.example", "c@gmial.example"],
        )
        .await;
        fixture.clock.advance_seconds(60);
        correct(&fixture, "a@gmial.example", "a@gmail.example").await;
        // b@gmail.example is blocked: it bounced as well.
        let blocked = marketer(&fixture).correct_address(correction("b@gmial.example", "b@gmail.example")).await;
        assert_eq!(refused(blocked).field, ["newEmail"]);
        run(&fixture, "UPDATE address SET health = 1, blocked_at = NULL, block_reason = NULL, outcomes = '' WHERE email_key = 'b@gmail.example'").await;
        correct(&fixture, "b@gmial.example", "b@gmail.example").await;
        let expected = [
            "a@gmail.example HARD_BOUNCED corrected",
            "b@gmial.example HARD_BOUNCED",
            "b@gmail.example HARD_BOUNCED",
            "c@gmial.example HARD_BOUNCED",
        ];
        assert_eq!(recipients(&fixture).await, expected, "a double would get it twice");
        check(&fixture).await;
        let domains = format!(
            "SELECT CAST(sum(hard_bounced) AS BIGINT) FROM domain_statistics WHERE campaign_id = {campaign} AND domain = "
        );
        assert_eq!(fixture.count(&format!("{domains}'gmail.example'")).await, 2);
        let filter = |corrected| RecipientQuery {
            campaign,
            filter: RecipientFilter::Corrected(corrected),
            search: None,
            order: RecipientOrder::Number,
            descending: false,
        };
        let count =
            async |corrected| reader(&fixture).count_recipients(&filter(corrected), 100).await.expect("counted").value;
        assert_eq!((count(true).await, count(false).await), (1, 3));
        // It failed again at the new address: it is not corrected since.
        fixture.clock.advance_seconds(60);
        let at = fixture.services.now().micros();
        run(&fixture, &format!("UPDATE recipient SET failure_at = {at} WHERE email_key = 'a@gmail.example'")).await;
        assert_eq!((count(true).await, count(false).await), (0, 4));
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    for fixture in Fixture::each().await {
        fixture.import("email\na@x.example\nb@x.example\n").await;
        run(
            &fixture,
            "UPDATE address SET health = 3, blocked_at = 5, block_reason = 3 WHERE email_key = 'b@x.example'",
        )
        .await;
        let marketer = marketer(&fixture);
        let refuse = async |correction: NewCorrection| {
            let refusal = refused(marketer.correct_address(correction).await);
            (refusal.code, refusal.field.join("."))
        };
        assert_eq!(
            refuse(correction("A@x.example", "a@X.example")).await,
            (RefusalCode::Invalid, "newEmail".to_owned())
        );
        assert_eq!(
            refuse(correction("z@x.example", "y@x.example")).await,
            (RefusalCode::NotFound, "oldEmail".to_owned())
        );
        assert_eq!(
            refuse(correction("a@x.example", "b@x.example")).await,
            (RefusalCode::Conflict, "newEmail".to_owned())
        );
        let long = NewCorrection { reason: Some("x".repeat(501)), ..correction("a@x.example", "c@x.example") };
        assert_eq!(refuse(long).await, (RefusalCode::Invalid, "reason".to_owned()));
        let theirs = NewCorrection { person: Some(7), ..correction("a@x.example", "c@x.example") };
        assert_eq!(refuse(theirs).await, (RefusalCode::NotFound, "personId".to_owned()));
        assert_eq!(fixture.count("SELECT count(*) FROM correction").await, 0);
        correct(&fixture, "a@x.example", "c@x.example").await;
        assert_eq!(refuse(correction("a@x.example", "c@x.example")).await.0, RefusalCode::Conflict, "that was done");
        let missing = marketer.reject_suggestion(99).await;
        assert_eq!(refused(missing).code, RefusalCode::NotFound);
        let decided = marketer.accept_suggestion(1).await;
        assert_eq!(refused(decided).code, RefusalCode::Conflict, "it is no suggestion");
        fixture.close().await;
    }
}

#[tokio::test]
async fn corrections_of_corrections_lead_to_the_last_in_any_order() {
    for fixture in Fixture::each().await {
        fixture.import("email\na@x.example\n").await;
        let marketer = marketer(&fixture);
        marketer.correct_address(correction("a@x.example", "b@x.example")).await.expect("corrected");
        fixture.clock.advance_seconds(1);
        marketer.correct_address(correction("b@x.example", "c@x.example")).await.expect("corrected");
        // The second one's recipients are looked for before the first one's have come.
        let second = claim(&fixture, JobKind::ApplyCorrection).await;
        assert_eq!(follow::run(&fixture.services, &second).await.expect("done").changed, 0);
        work_off(&fixture.services).await;
        assert_eq!(recipients(&fixture).await, ["c@x.example READY corrected"]);
        // And back: it ends.
        fixture.clock.advance_seconds(1);
        correct(&fixture, "c@x.example", "a@x.example").await;
        assert_eq!(recipients(&fixture).await, ["a@x.example READY corrected"]);
        check(&fixture).await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn thousands_follow_by_whichever_worker_lives() {
    for fixture in Fixture::each().await {
        // One address in many campaigns would take long to make: many of one campaign's recipients get it instead.
        let list: String = (0..1_500).map(|number| format!("p{number}@x.example\n")).collect();
        fixture.import(format!("email\n{list}")).await;
        run(
            &fixture,
            "UPDATE recipient SET address_id = (SELECT id FROM address WHERE email_key = 'p0@x.example'), \
            email_key = 'p0@x.example', email = 'p0@x.example'",
        )
        .await;
        marketer(&fixture).correct_address(correction("p0@x.example", "p0@y.example")).await.expect("corrected");
        let services = &fixture.services;
        let first = claim(&fixture, JobKind::ApplyCorrection).await;
        fixture.clock.advance_seconds(3_600);
        let second = claim(&fixture, JobKind::ApplyCorrection).await;
        assert!(matches!(follow::run(services, &first).await, Err(ServiceError::JobLost)));
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE corrected_at IS NOT NULL").await, 0);
        // The second one goes on behind the chunk that it has done, also where it dies there.
        let followed = follow::run(services, &second).await.expect("done");
        assert_eq!(followed.changed, 1_500);
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE domain = 'y.example'").await, 1_500);
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE status = 1").await, 1, "the others are doubles");
        check(&fixture).await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn lists_are_filtered_and_a_viewer_sees_no_addresses() {
    for fixture in Fixture::each().await {
        fixture.import("email\na@x.example\nb@x.example\n").await;
        correct(&fixture, "a@x.example", "a@y.example").await;
        correct(&fixture, "b@x.example", "b@y.example").await;
        let all = corrections(&fixture, CorrectionFilter::default()).await;
        assert_eq!(
            all.iter().map(|it| it.old_email.as_str()).collect::<Vec<_>>(),
            ["b@x.example", "a@x.example"],
            "the latest first"
        );
        let search = CorrectionFilter { search: Some("A@Y".to_owned()), ..CorrectionFilter::default() };
        assert_eq!(corrections(&fixture, search.clone()).await.len(), 1);
        let of = |campaign| CorrectionFilter { campaign: Some(campaign), ..CorrectionFilter::default() };
        assert_eq!(corrections(&fixture, of(fixture.campaign)).await.len(), 2);
        assert_eq!(corrections(&fixture, of(99)).await.len(), 0);
        let pushes = |push| CorrectionFilter { pushes: vec![push], ..CorrectionFilter::default() };
        assert_eq!(corrections(&fixture, pushes(all[0].push)).await.len(), 2);
        assert_eq!(corrections(&fixture, pushes(PushState::Failed)).await.len(), 0);
        let none = CorrectionFilter { states: vec![CorrectionState::Conflict], ..CorrectionFilter::default() };
        assert_eq!(reader(&fixture).count_corrections(&none, 10).await.expect("counted").value, 0);
        let viewer = Subject { role: Role::Viewer, ..Subject::command_line() };
        let viewer = fixture.services.access(viewer).reader();
        let page = viewer.corrections(&CorrectionFilter::default(), &PageArgs::default()).await.expect("listed");
        assert!(page.rows.iter().all(|it| it.old_email == "•••" && it.new_email == "•••" && it.reason.is_none()));
        assert_eq!(
            refused(viewer.corrections(&search, &PageArgs::default()).await.map(|_| ())).code,
            RefusalCode::Forbidden
        );
        fixture.close().await;
    }
}
