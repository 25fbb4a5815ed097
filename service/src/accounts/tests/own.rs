//! What users do with their own account.

use super::*;

const NEW: &str = "three sleepy walruses";

fn account(it: &Installation, session: &SignedIn) -> OwnAccount {
    it.services.access(session.subject.clone()).own_account().expect("an account")
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_and_begins_one() {
    for it in installations().await {
        it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        let (own, other) = (it.sign_in(EMAIL, PASSWORD).await, it.sign_in(EMAIL, PASSWORD).await);
        let wrong = account(&it, &own).change_password("wrong", NEW).await;
        assert_eq!(refusal(wrong), RefusalCode::Invalid);
        let weak = account(&it, &own).change_password(PASSWORD, "password1234").await;
        assert_eq!(refusal(weak), RefusalCode::Invalid);
        assert!(it.is_signed_in(&other).await);

        let fresh = account(&it, &own).change_password(PASSWORD, NEW).await.expect("changed");
        assert!(!it.is_signed_in(&own).await && !it.is_signed_in(&other).await);
        assert!(it.is_signed_in(&fresh).await);
        assert_ne!(fresh.secret, own.secret);
        let known = it.services.recognise_device(EMAIL, fresh.device.expose()).await.expect("an answer");
        assert!(known.is_some());
        assert_eq!(it.services.recognise_device(EMAIL, own.device.expose()).await.expect("an answer"), None);
        it.sign_in(EMAIL, NEW).await;
        assert!(it.actions().await.contains(&"user.password_changed user:1".to_owned()));
        it.test.close().await;
    }
}

#[tokio::test]
async fn the_old_password_cannot_be_guessed_with_a_stolen_session() {
    for it in installations().await {
        it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        let session = it.sign_in(EMAIL, PASSWORD).await;
        for _ in 0..10 {
            assert_eq!(refusal(account(&it, &session).change_password("wrong", NEW).await), RefusalCode::Invalid);
        }
        assert_eq!(refusal(account(&it, &session).change_password(PASSWORD, NEW).await), RefusalCode::Conflict);
        it.test.close().await;
    }
}

#[tokio::test]
async fn tokens_and_the_command_line_have_no_account() {
    for it in installations().await {
        let token = Subject { id: "token:1".to_owned(), name: "x".to_owned(), role: Role::Admin };
        for subject in [token, Subject::command_line(), Subject::anonymous()] {
            let account = it.services.access(subject).own_account();
            assert!(account.is_err_and(|refusal| refusal.code == RefusalCode::Forbidden));
        }
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_second_factor_is_asked_for_once_it_is_confirmed() {
    for it in installations().await {
        it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        let session = it.sign_in(EMAIL, PASSWORD).await;
        let own = account(&it, &session);
        assert_eq!(refusal(own.begin_totp("wrong").await), RefusalCode::Invalid);
        own.begin_totp(PASSWORD).await.expect("begun");
        let enrolment = own.begin_totp(PASSWORD).await.expect("begun anew");
        assert!(enrolment.recovery_codes.is_empty());
        it.sign_in(EMAIL, PASSWORD).await;

        let code = totp::code(&it, &enrolment, 0);
        assert_eq!(refusal(own.confirm_totp("000000").await), RefusalCode::Invalid);
        let (codes, fresh) = own.confirm_totp(&code).await.expect("confirmed");
        assert_eq!(codes.len(), 10);
        assert!(!it.is_signed_in(&session).await && it.is_signed_in(&fresh).await);
        let answer = it.services.sign_in(&Attempt::new(EMAIL, PASSWORD)).await.expect("an answer");
        assert!(matches!(answer, SignInAnswer::CodeRequired));
        let again = it.services.sign_in(&Attempt::new(EMAIL, PASSWORD).with_code(&code)).await.expect("an answer");
        assert!(matches!(again, SignInAnswer::CodeRefused), "it was used for confirming");
        assert_eq!(refusal(own.begin_totp(PASSWORD).await), RefusalCode::Conflict);

        it.clock.advance_seconds(30);
        let code = totp::code(&it, &enrolment, 0);
        assert_eq!(refusal(own.remove_totp(PASSWORD, "000000").await), RefusalCode::Invalid);
        own.remove_totp(PASSWORD, &code).await.expect("removed");
        it.sign_in(EMAIL, PASSWORD).await;
        assert_eq!(it.count("SELECT 1 AS one FROM user_recovery_code").await, 0);
        it.test.close().await;
    }
}
