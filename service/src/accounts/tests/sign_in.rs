//! Signing in, known browsers, sessions that end, and what is written down of refusals.

use super::*;

async fn refuse(it: &Installation, attempt: Attempt<'_>) -> (RefusalCode, String) {
    match it.services.sign_in(&attempt).await {
        Err(ServiceError::Refused(refusal)) => (refusal.code, refusal.message),
        other => panic!("no refusal: {other:?}"),
    }
}

#[tokio::test]
async fn an_unknown_address_a_wrong_password_and_a_disabled_user_look_the_same() {
    for it in installations().await {
        it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        let disabled = it.admin.add_user("max@example.com", Role::Viewer, PASSWORD).await.expect("a user");
        it.admin.disable_user(disabled.id, Lockout::default()).await.expect("disabled");
        let wrong = refuse(&it, Attempt::new(EMAIL, "wrong")).await;
        let long = "x".repeat(5_000);
        for attempt in [
            Attempt::new("nobody@example.com", PASSWORD),
            Attempt::new("max@example.com", PASSWORD),
            Attempt::new("", ""),
            Attempt::new("nul\0@example.com", "nul\0"),
            Attempt::new(&long, PASSWORD),
        ] {
            assert_eq!(refuse(&it, attempt).await, wrong);
        }
        assert_eq!(wrong.0, RefusalCode::Unauthenticated);
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_session_ends_after_two_weeks_however_much_it_is_used_and_is_cleared_away() {
    for it in installations().await {
        it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        let first = it.sign_in(EMAIL, PASSWORD).await;
        for _ in 0..SESSION_SECONDS / 21_600 {
            assert!(it.is_signed_in(&first).await);
            it.clock.advance_seconds(21_600);
        }
        assert!(!it.is_signed_in(&first).await);
        it.sign_in(EMAIL, PASSWORD).await;
        assert_eq!(it.count("SELECT 1 AS one FROM session").await, 1);
        it.test.close().await;
    }
}

#[tokio::test]
async fn an_idle_session_ends_and_a_socket_that_only_waits_does_not_keep_it() {
    for it in installations().await {
        it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        let used = it.sign_in(EMAIL, PASSWORD).await;
        let watched = it.sign_in(EMAIL, PASSWORD).await;
        for _ in 0..12 {
            it.clock.advance_seconds(3_600);
            assert!(it.is_signed_in(&used).await);
            let _alive = it.services.session_holder(watched.secret.expose()).await.expect("an answer").is_some();
        }
        assert!(it.is_signed_in(&used).await);
        assert!(it.services.session_holder(watched.secret.expose()).await.expect("an answer").is_none());
        assert!(!it.is_signed_in(&watched).await);

        let never = it.services_with(SignInOptions { idle_seconds: 0, ..SignInOptions::default() });
        known::forget_all();
        it.clock.advance_seconds(24 * 3_600);
        assert!(never.authenticate_session(used.secret.expose()).await.expect("an answer").is_some());
        it.test.close().await;
    }
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute_and_only_for_requests() {
    for it in installations().await {
        it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        let session = it.sign_in(EMAIL, PASSWORD).await;
        let began = it.services.now();
        let seen = async || {
            let rows = query_all(it.test.db.read(), "SELECT last_seen_at FROM session", []).await.expect("a session");
            rows[0].try_get_by_index::<i64>(0).expect("a time")
        };
        it.clock.advance_seconds(59);
        assert!(it.is_signed_in(&session).await);
        it.clock.advance_seconds(1);
        assert!(it.services.session_holder(session.secret.expose()).await.expect("an answer").is_some());
        assert_eq!(seen().await, began.micros());
        assert!(it.is_signed_in(&session).await);
        while seen().await != it.services.now().micros() {
            tokio::task::yield_now().await;
        }
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_session_of_before_counts_as_idle_from_its_first_use_on() {
    for it in installations().await {
        it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        let session = it.sign_in(EMAIL, PASSWORD).await;
        crate::db::execute(it.test.db.write(), "UPDATE session SET last_seen_at = NULL", []).await.expect("changed");
        it.clock.advance_seconds(3 * 24 * 3_600);
        assert!(it.is_signed_in(&session).await);
        it.clock.advance_seconds(12 * 3_600);
        assert!(!it.is_signed_in(&session).await);
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_browser_is_known_to_its_account_until_the_password_changes_or_a_year_is_over() {
    for it in installations().await {
        let user = it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        it.admin.add_user("max@example.com", Role::Viewer, PASSWORD).await.expect("a user");
        let cookie = it.sign_in(EMAIL, PASSWORD).await.device;
        let known = async |email: &str, cookie: &str| {
            it.services.recognise_device(email, cookie).await.expect("an answer").is_some()
        };
        let text = cookie.expose();
        assert!(known(EMAIL, text).await && known(" erika.muster@EXAMPLE.com ", text).await);
        assert!(!known("max@example.com", text).await && !known("nobody@example.com", text).await);
        let mut forged = text.to_owned();
        forged.replace_range(0..1, if text.starts_with('A') { "B" } else { "A" });
        for wrong in ["", "x", &forged, text.get(1..).expect("ASCII"), &"A".repeat(text.len()), &"A".repeat(9_000)] {
            assert!(!known(EMAIL, wrong).await, "{wrong}");
        }
        let elsewhere = Services::new(it.test.db.clone(), it.clock.clone(), &[2; 32], Path::new("unused"));
        assert_eq!(elsewhere.recognise_device(EMAIL, text).await.expect("an answer"), None);

        it.clock.advance_seconds(Device::SECONDS - 1);
        assert!(known(EMAIL, text).await);
        it.clock.advance_seconds(1);
        assert!(!known(EMAIL, text).await);

        let fresh = it.sign_in(EMAIL, PASSWORD).await.device;
        assert!(known(EMAIL, fresh.expose()).await);
        it.admin.set_user_password(user.id, PASSWORD).await.expect("the same one is another one");
        assert!(!known(EMAIL, fresh.expose()).await);
        it.test.close().await;
    }
}

#[tokio::test]
async fn refusals_are_audited_by_account_network_and_reason_without_an_address() {
    for it in installations().await {
        it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        let network = Network::of("203.0.113.77".parse().expect("an address"));
        for _ in 0..3 {
            refuse(&it, Attempt { network, ..Attempt::new(EMAIL, "wrong") }).await;
        }
        it.services.note_refused_sign_in(&Attempt { network, ..Attempt::new(EMAIL, "x") }, Reason::TooMany).await;
        refuse(&it, Attempt { network, ..Attempt::new("nobody@example.com", "wrong") }).await;
        let sql = "SELECT subject, object, detail FROM audit_entry WHERE action = 'session.refused' ORDER BY id";
        let rows = query_all(it.test.db.read(), sql, []).await.expect("entries");
        let entries: Vec<(String, String, String)> =
            rows.iter().map(|row| row.try_get_many_by_index().expect("an entry")).collect();
        assert_eq!(entries.len(), 3, "{entries:?}");
        let (subject, object, detail) = &entries[0];
        assert_eq!((subject.as_str(), object), ("anonymous", &it.services.account_name(EMAIL)));
        let detail: serde_json::Value = serde_json::from_str(detail).expect("JSON");
        let expected = serde_json::json!({ "network": "203.0.113.0/24", "reason": "credentials", "attempts": 3 });
        assert_eq!(detail, expected);
        assert!(entries[1].2.contains("too many attempts") && entries[1].1 == *object);
        assert_ne!(entries[2].1, *object);
        let all = format!("{entries:?}");
        assert!(!all.contains("example") && !all.contains("113.77"), "{all}");

        it.clock.advance_seconds(3_600);
        refuse(&it, Attempt { network, ..Attempt::new(EMAIL, "wrong") }).await;
        assert_eq!(it.count("SELECT 1 AS one FROM audit_entry WHERE action = 'session.refused'").await, 4);
        it.test.close().await;
    }
}
