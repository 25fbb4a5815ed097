//! The second factor.

use totp_rs::Builder;

use super::*;

/// The code of the app at this moment, moved by so many steps.
pub(super) fn code(it: &Installation, enrolment: &Enrolment, steps: i64) -> String {
    let secret = totp_rs::Secret::try_from_base32(enrolment.secret.expose()).expect("base32");
    let totp = Builder::new().with_secret(secret).build().expect("a secret");
    let seconds = it.services.now().seconds() + 30 * steps;
    totp.generate(u64::try_from(seconds).expect("after 1970")).to_string()
}

async fn enrolled() -> Vec<(Installation, User, Enrolment)> {
    let mut all = Vec::new();
    for it in installations().await {
        let user = it.admin.add_user(EMAIL, Role::Admin, PASSWORD).await.expect("a user");
        let enrolment = it.admin.enable_totp(user.id).await.expect("enabled");
        all.push((it, user, enrolment));
    }
    all
}

async fn try_code(it: &Installation, code: &str) -> SignInAnswer {
    it.services.sign_in(&Attempt::new(EMAIL, PASSWORD).with_code(code)).await.expect("an answer")
}

#[tokio::test]
async fn the_code_is_asked_for_only_after_the_right_password() {
    for (it, _, enrolment) in enrolled().await {
        let wrong = it.services.sign_in(&Attempt::new(EMAIL, "wrong")).await;
        assert_eq!(refusal(wrong), RefusalCode::Unauthenticated);
        let code = code(&it, &enrolment, 0);
        let wrong = it.services.sign_in(&Attempt::new(EMAIL, "wrong").with_code(&code)).await;
        assert_eq!(refusal(wrong), RefusalCode::Unauthenticated);
        for attempt in [Attempt::new(EMAIL, PASSWORD), Attempt::new(EMAIL, PASSWORD).with_code("  ")] {
            let answer = it.services.sign_in(&attempt).await.expect("an answer");
            assert!(matches!(answer, SignInAnswer::CodeRequired), "{answer:?}");
        }
        signed_in(try_code(&it, &code).await);
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_code_counts_once_and_one_step_early_or_late() {
    for (it, _, enrolment) in enrolled().await {
        for off in [-2, 2] {
            let answer = try_code(&it, &code(&it, &enrolment, off)).await;
            assert!(matches!(answer, SignInAnswer::CodeRefused), "{off}: {answer:?}");
        }
        let late = code(&it, &enrolment, -1);
        signed_in(try_code(&it, &late).await);
        assert!(matches!(try_code(&it, &late).await, SignInAnswer::CodeRefused), "it was used");
        let early = code(&it, &enrolment, 1);
        let (first, last) = early.split_at(3);
        signed_in(try_code(&it, &format!(" {first} {last} ")).await);
        let present = code(&it, &enrolment, 0);
        assert!(matches!(try_code(&it, &present).await, SignInAnswer::CodeRefused), "a later one was used");
        it.test.close().await;
    }
}

#[tokio::test]
async fn of_two_that_send_the_same_code_at_once_one_gets_in() {
    for (it, _, enrolment) in enrolled().await {
        let code = code(&it, &enrolment, 0);
        let (one, two) = tokio::join!(try_code(&it, &code), try_code(&it, &code));
        let inside = [one, two].iter().filter(|answer| matches!(answer, SignInAnswer::SignedIn(_))).count();
        assert_eq!(inside, 1);
        it.test.close().await;
    }
}

#[tokio::test]
async fn codes_cannot_be_tried_for_ever_and_a_known_browser_goes_on() {
    for (it, _, enrolment) in enrolled().await {
        let cookie = signed_in(try_code(&it, &code(&it, &enrolment, 0)).await).device;
        for _ in 0..9 {
            assert!(matches!(try_code(&it, "000000").await, SignInAnswer::CodeRefused));
        }
        it.clock.advance_seconds(30);
        let code = code(&it, &enrolment, 0);
        let answer = try_code(&it, &code).await;
        assert!(matches!(answer, SignInAnswer::TooManyCodes { retry_after: 1.. }), "{answer:?}");
        let device = it.services.recognise_device(EMAIL, cookie.expose()).await.expect("an answer");
        let attempt = Attempt { device, ..Attempt::new(EMAIL, PASSWORD).with_code(&code) };
        signed_in(it.services.sign_in(&attempt).await.expect("an answer"));
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_recovery_code_works_once() {
    for (it, _, enrolment) in enrolled().await {
        assert_eq!(enrolment.recovery_codes.len(), 10);
        let code = enrolment.recovery_codes[3].expose();
        signed_in(try_code(&it, &code.to_uppercase()).await);
        assert!(it.actions().await.contains(&"user.recovery_code_used user:1".to_owned()));
        assert!(matches!(try_code(&it, code).await, SignInAnswer::CodeRefused));
        assert!(matches!(try_code(&it, "abcd-efgh-ijkm-npqr").await, SignInAnswer::CodeRefused));
        assert_eq!(it.count("SELECT 1 AS one FROM user_recovery_code").await, 9);
        let stored = query_all(it.test.db.read(), "SELECT code_hash FROM user_recovery_code", []).await.expect("rows");
        let stored: Vec<String> = stored.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect();
        assert!(!stored.iter().any(|hash| hash.contains(&code.replace('-', ""))));
        it.test.close().await;
    }
}

#[tokio::test]
async fn resetting_and_disabling_end_sessions_and_old_codes() {
    for (it, user, old) in enrolled().await {
        assert_eq!(refusal(it.admin.enable_totp(user.id).await), RefusalCode::Conflict);
        let session = signed_in(try_code(&it, &code(&it, &old, 0)).await);
        let new = it.admin.reset_totp(user.id).await.expect("reset");
        assert_ne!(new.secret, old.secret);
        assert!(!it.is_signed_in(&session).await);
        it.clock.advance_seconds(30);
        assert!(matches!(try_code(&it, &code(&it, &old, 0)).await, SignInAnswer::CodeRefused));
        assert!(matches!(try_code(&it, old.recovery_codes[0].expose()).await, SignInAnswer::CodeRefused));
        let session = signed_in(try_code(&it, &code(&it, &new, 0)).await);

        let change = it.admin.disable_totp(user.id).await.expect("disabled");
        assert_eq!(change.sessions_ended, 1);
        assert!(!it.is_signed_in(&session).await);
        it.sign_in(EMAIL, PASSWORD).await;
        assert_eq!(refusal(it.admin.reset_totp(user.id).await), RefusalCode::Conflict);
        assert_eq!(refusal(it.admin.enable_totp(99).await), RefusalCode::NotFound);
        let actions = it.actions().await;
        for action in ["user.totp_enabled", "user.totp_reset", "user.totp_disabled"] {
            assert_eq!(actions.iter().filter(|done| **done == format!("{action} user:1")).count(), 1, "{actions:?}");
        }
        it.test.close().await;
    }
}

#[tokio::test]
async fn an_installation_may_ask_admins_for_it() {
    for it in installations().await {
        let user = it.admin.add_user(EMAIL, Role::Admin, PASSWORD).await.expect("a user");
        it.admin.add_user("max@example.com", Role::Marketer, PASSWORD).await.expect("a user");
        let before = it.sign_in(EMAIL, PASSWORD).await;
        let strict = it.services_with(SignInOptions { require_totp_for_admins: true, ..SignInOptions::default() });
        known::forget_all();
        let refused = strict.sign_in(&Attempt::new(EMAIL, PASSWORD)).await;
        assert_eq!(refusal(refused), RefusalCode::Forbidden);
        assert_eq!(strict.authenticate_session(before.secret.expose()).await.expect("an answer"), None);
        signed_in(strict.sign_in(&Attempt::new("max@example.com", PASSWORD)).await.expect("an answer"));
        let enrolment = it.admin.enable_totp(user.id).await.expect("enabled");
        let attempt = Attempt::new(EMAIL, PASSWORD);
        let code = code(&it, &enrolment, 0);
        let session = signed_in(strict.sign_in(&attempt.with_code(&code)).await.expect("an answer"));
        assert!(strict.authenticate_session(session.secret.expose()).await.expect("an answer").is_some());
        it.test.close().await;
    }
}

#[tokio::test]
async fn another_secret_key_is_said_and_lets_nobody_in() {
    for (it, _, enrolment) in enrolled().await {
        let elsewhere = Services::new(it.test.db.clone(), it.clock.clone(), &[2; 32], Path::new("unused"));
        let code = code(&it, &enrolment, 0);
        let error = elsewhere.sign_in(&Attempt::new(EMAIL, PASSWORD).with_code(&code)).await.expect_err("no way in");
        assert!(error.to_string().contains("another secret_key"), "{error}");
        it.test.close().await;
    }
}
