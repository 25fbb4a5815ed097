//! Locking somebody out: what ends, what is refused, and what is audited.

use serde_json::json;

use super::*;

const OTHER: &str = "max@example.com";

async fn with_user(role: Role) -> Vec<(Installation, User)> {
    let mut all = Vec::new();
    for it in installations().await {
        let user = it.admin.add_user(EMAIL, role, PASSWORD).await.expect("a user");
        all.push((it, user));
    }
    all
}

/// The rights of a user who is signed in.
fn admin_of(it: &Installation, signed_in: &SignedIn) -> Admin {
    it.services.access(signed_in.subject.clone()).admin().expect("an admin")
}

#[tokio::test]
async fn a_disabled_user_loses_sessions_and_sign_in_until_enabled() {
    for (it, user) in with_user(Role::Marketer).await {
        let sessions = [it.sign_in(EMAIL, PASSWORD).await, it.sign_in(EMAIL, PASSWORD).await];
        let bystander = it.admin.add_user(OTHER, Role::Marketer, PASSWORD).await.expect("a user");
        let theirs = it.sign_in(OTHER, PASSWORD).await;
        for session in &sessions {
            assert!(it.is_signed_in(session).await);
        }
        let change = it.admin.disable_user(user.id, Lockout::default()).await.expect("disabled");
        assert_eq!((change.sessions_ended, change.user.disabled_at), (2, Some(it.services.now())));
        assert_eq!(it.last_entry().await, ("user.disabled".into(), "user:1".into(), json!({ "sessionsEnded": 2 })));
        for session in &sessions {
            assert!(!it.is_signed_in(session).await);
            assert!(it.services.session_holder(session.secret.expose()).await.expect("an answer").is_none());
        }
        assert!(it.is_signed_in(&theirs).await, "user {} is not concerned", bystander.id);
        let attempt = it.services.sign_in(&Attempt::new(EMAIL, PASSWORD)).await;
        assert_eq!(refusal(attempt), RefusalCode::Unauthenticated);

        let entries = it.count("SELECT 1 AS one FROM audit_entry").await;
        it.admin.disable_user(user.id, Lockout::default()).await.expect("disabled already");
        assert_eq!(it.count("SELECT 1 AS one FROM audit_entry").await, entries, "nothing has changed");

        it.admin.enable_user(user.id).await.expect("enabled");
        assert_eq!(it.last_entry().await.0, "user.enabled");
        for session in &sessions {
            assert!(!it.is_signed_in(session).await, "what has ended stays so");
        }
        it.sign_in(EMAIL, PASSWORD).await;
        it.test.close().await;
    }
}

#[tokio::test]
async fn another_role_or_password_ends_sessions() {
    for (it, user) in with_user(Role::Marketer).await {
        let session = it.sign_in(EMAIL, PASSWORD).await;
        it.admin.set_user_role(user.id, Role::Marketer, Lockout::default()).await.expect("the same role");
        assert!(it.is_signed_in(&session).await);

        it.admin.set_user_role(user.id, Role::Viewer, Lockout::default()).await.expect("another role");
        let detail = json!({ "from": "marketer", "to": "viewer", "sessionsEnded": 1 });
        assert_eq!(it.last_entry().await, ("user.role_changed".into(), "user:1".into(), detail));
        assert!(!it.is_signed_in(&session).await);
        let session = it.sign_in(EMAIL, PASSWORD).await;
        assert_eq!(session.subject.role, Role::Viewer);

        let new = "three sleepy walruses";
        it.admin.set_user_password(user.id, new).await.expect("another password");
        assert_eq!(it.last_entry().await.0, "user.password_changed");
        assert!(!it.is_signed_in(&session).await);
        let old = it.services.sign_in(&Attempt::new(EMAIL, PASSWORD)).await;
        assert_eq!(refusal(old), RefusalCode::Unauthenticated);
        it.sign_in(EMAIL, new).await;
        for weak in ["short", "password1234", EMAIL] {
            assert_eq!(refusal(it.admin.set_user_password(user.id, weak).await), RefusalCode::Invalid);
        }
        it.test.close().await;
    }
}

#[tokio::test]
async fn the_last_admin_stays_unless_forced() {
    for (it, erika) in with_user(Role::Admin).await {
        let how = Lockout::default();
        assert_eq!(refusal(it.admin.disable_user(erika.id, how).await), RefusalCode::Conflict);
        assert_eq!(refusal(it.admin.set_user_role(erika.id, Role::Viewer, how).await), RefusalCode::Conflict);
        let max = it.admin.add_user(OTHER, Role::Admin, PASSWORD).await.expect("a user");
        let (one, two) = tokio::join!(it.admin.disable_user(erika.id, how), it.admin.disable_user(max.id, how));
        assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|done| **done).count(), 1, "{one:?} {two:?}");
        let left = if one.is_ok() { max.id } else { erika.id };
        let forced = it.admin.disable_user(left, Lockout { force: true, ..how }).await.expect("forced");
        assert!(forced.user.disabled_at.is_some());
        assert_eq!(refusal(it.admin.disable_user(99, how).await), RefusalCode::NotFound);
        assert_eq!(refusal(it.admin.set_user_role(99, Role::Viewer, how).await), RefusalCode::NotFound);
        assert_eq!(refusal(it.admin.user_by_email("nobody@example.com").await), RefusalCode::NotFound);
        it.test.close().await;
    }
}

#[tokio::test]
async fn tokens_go_with_whoever_made_them_by_whatever_way() {
    for (it, erika) in with_user(Role::Admin).await {
        it.admin.add_user(OTHER, Role::Admin, PASSWORD).await.expect("a user");
        let erikas = admin_of(&it, &it.sign_in(EMAIL, PASSWORD).await);
        let (first, _) = erikas.create_token("first", Role::Admin, None).await.expect("a token");
        let by_token = Subject { id: format!("token:{}", first.id), name: "first".to_owned(), role: Role::Admin };
        let by_token = it.services.access(by_token).admin().expect("an admin");
        let (second, secret) = by_token.create_token("second", Role::Marketer, None).await.expect("a token");
        let (others, _) = it.admin.create_token("others", Role::Admin, None).await.expect("a token");
        it.admin.revoke_token(first.id).await.expect("revoked");

        it.admin.set_user_role(erika.id, Role::Marketer, Lockout::default()).await.expect("demoted");
        assert!(
            it.services.authenticate_token(secret.expose()).await.expect("an answer").is_some(),
            "it may no more than she may"
        );
        let change = it.admin.disable_user(erika.id, Lockout::default()).await.expect("disabled");
        assert_eq!(change.tokens_revoked, [second.id]);
        assert_eq!(it.last_entry().await.0, "token.revoked");
        assert!(it.services.authenticate_token(secret.expose()).await.expect("an answer").is_none());
        let alive = it.admin.tokens().await.expect("tokens").into_iter().filter(|token| token.revoked_at.is_none());
        assert_eq!(alive.map(|token| token.id).collect::<Vec<_>>(), [others.id]);
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_demoted_admin_loses_admin_tokens_unless_they_are_kept() {
    for (it, erika) in with_user(Role::Admin).await {
        it.admin.add_user(OTHER, Role::Admin, PASSWORD).await.expect("a user");
        let erikas = admin_of(&it, &it.sign_in(EMAIL, PASSWORD).await);
        let (admins, _) = erikas.create_token("admin", Role::Admin, None).await.expect("a token");
        let (viewers, _) = erikas.create_token("viewer", Role::Viewer, None).await.expect("a token");
        let keep = Lockout { keep_tokens: true, ..Lockout::default() };
        let change = it.admin.set_user_role(erika.id, Role::Marketer, keep).await.expect("demoted");
        assert!(change.tokens_revoked.is_empty());
        it.admin.set_user_role(erika.id, Role::Admin, Lockout::default()).await.expect("promoted");
        let change = it.admin.set_user_role(erika.id, Role::Viewer, Lockout::default()).await.expect("demoted");
        assert_eq!(change.tokens_revoked, [admins.id]);
        let change = it.admin.disable_user(erika.id, Lockout::default()).await.expect("disabled");
        assert_eq!(change.tokens_revoked, [viewers.id]);
        it.test.close().await;
    }
}

#[tokio::test]
async fn an_admin_who_was_locked_out_meanwhile_gives_nobody_access() {
    for (it, erika) in with_user(Role::Admin).await {
        let max = it.admin.add_user(OTHER, Role::Admin, PASSWORD).await.expect("a user");
        let erikas = admin_of(&it, &it.sign_in(EMAIL, PASSWORD).await);
        it.admin.disable_user(erika.id, Lockout::default()).await.expect("disabled");
        let how = Lockout::default();
        assert_eq!(refusal(erikas.create_token("late", Role::Admin, None).await), RefusalCode::Forbidden);
        assert_eq!(refusal(erikas.add_user("late@example.com", Role::Admin, PASSWORD).await), RefusalCode::Forbidden);
        assert_eq!(refusal(erikas.enable_user(erika.id).await), RefusalCode::Forbidden);
        assert_eq!(refusal(erikas.disable_user(max.id, how).await), RefusalCode::Forbidden);
        assert_eq!(refusal(erikas.set_user_password(max.id, PASSWORD).await), RefusalCode::Forbidden);
        assert_eq!(refusal(erikas.enable_totp(max.id).await), RefusalCode::Forbidden);
        it.test.close().await;
    }
}

#[tokio::test]
async fn users_are_listed_with_their_state() {
    for (it, erika) in with_user(Role::Admin).await {
        let max = it.admin.add_user(OTHER, Role::Viewer, PASSWORD).await.expect("a user");
        it.admin.disable_user(max.id, Lockout::default()).await.expect("disabled");
        it.admin.enable_totp(erika.id).await.expect("enabled");
        let listed = it.admin.users().await.expect("users");
        let state = |user: &User| (user.email.clone(), user.disabled_at.is_some(), user.has_totp);
        let expected = [(EMAIL.to_owned(), false, true), (OTHER.to_owned(), true, false)];
        assert_eq!(listed.iter().map(state).collect::<Vec<_>>(), expected);
        assert_eq!(it.admin.user_by_email(EMAIL).await.expect("a user"), listed[0]);
        it.test.close().await;
    }
}
