//! Users, passwords, sessions and tokens, on SQLite and PostgreSQL.

mod lockout;
mod own;
mod sign_in;
mod totp;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::access::{Admin, Services};
use crate::db::query_all;
use crate::error::{RefusalCode, ServiceError};
use crate::subject::{Role, Subject};
use crate::testing::{TestClock, TestDb};

const EMAIL: &str = "Erika.Muster@example.com";
const PASSWORD: &str = "correct horse battery";

struct Installation {
    test: TestDb,
    clock: Arc<TestClock>,
    services: Services,
    admin: Admin,
}

async fn installations() -> Vec<Installation> {
    let each = TestDb::each().await.into_iter().map(|test| {
        let clock = Arc::new(TestClock::new());
        let services = Services::new(test.db.clone(), clock.clone(), &[1; 32], Path::new("unused"));
        let admin = services.access(Subject::command_line()).admin().expect("an admin");
        Installation { test, clock, services, admin }
    });
    each.collect()
}

impl Installation {
    /// Another process of the same installation, or one that was started with other options.
    fn services_with(&self, options: SignInOptions) -> Services {
        Services::new(self.test.db.clone(), self.clock.clone(), &[1; 32], Path::new("unused")).with_sign_in(options)
    }

    async fn sign_in(&self, email: &str, password: &str) -> SignedIn {
        signed_in(self.services.sign_in(&Attempt::new(email, password)).await.expect("an answer"))
    }

    async fn is_signed_in(&self, signed_in: &SignedIn) -> bool {
        self.services.authenticate_session(signed_in.secret.expose()).await.expect("an answer").is_some()
    }

    /// The latest entry of the audit log: its action, object and detail.
    async fn last_entry(&self) -> (String, String, serde_json::Value) {
        let sql = "SELECT action, object, detail FROM audit_entry ORDER BY id DESC LIMIT 1";
        let row = query_all(self.test.db.read(), sql, []).await.expect("entries").remove(0);
        let detail: Option<String> = row.try_get("", "detail").expect("a text");
        let text = |column| row.try_get::<String>("", column).expect("a text");
        let detail = detail.map_or(serde_json::Value::Null, |detail| serde_json::from_str(&detail).expect("JSON"));
        (text("action"), text("object"), detail)
    }

    async fn count(&self, sql: &str) -> usize {
        query_all(self.test.db.read(), sql, []).await.expect("rows").len()
    }

    async fn actions(&self) -> Vec<String> {
        let rows = query_all(self.test.db.read(), "SELECT action, object FROM audit_entry ORDER BY id", []).await;
        let text = |row: &sea_orm::QueryResult, column| row.try_get::<String>("", column).expect("a text");
        rows.expect("entries").iter().map(|row| format!("{} {}", text(row, "action"), text(row, "object"))).collect()
    }
}

fn signed_in(answer: SignInAnswer) -> SignedIn {
    match answer {
        SignInAnswer::SignedIn(signed_in) => signed_in,
        other => panic!("not signed in: {other:?}"),
    }
}

fn refusal<T: std::fmt::Debug>(result: crate::Result<T>) -> RefusalCode {
    match result {
        Err(ServiceError::Refused(refusal)) => refusal.code,
        other => panic!("no refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_token_opens_until_its_end() {
    for it in installations().await {
        let end = it.services.now().plus_seconds(60);
        let (token, secret) = it.admin.create_token(" CI ", Role::Marketer, Some(end)).await.expect("a token");
        assert_eq!((token.name.as_str(), token.role, token.expires_at), ("CI", Role::Marketer, Some(end)));
        assert!(secret.expose().starts_with("nf_") && secret.expose().len() == 46);

        let subject = it.services.authenticate_token(secret.expose()).await.expect("an answer").expect("a subject");
        assert_eq!(subject, Subject { id: format!("token:{}", token.id), name: "CI".to_owned(), role: Role::Marketer });
        it.clock.advance_seconds(60);
        assert_eq!(it.services.authenticate_token(secret.expose()).await.expect("an answer"), None);
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_and_revoking_is_audited_once() {
    for it in installations().await {
        let (token, secret) = it.admin.create_token("CI", Role::Viewer, None).await.expect("a token");
        assert!(it.services.authenticate_token(secret.expose()).await.expect("an answer").is_some());
        let revoked = it.admin.revoke_token(token.id).await.expect("revoked");
        it.clock.advance_seconds(1);
        assert_eq!(it.admin.revoke_token(token.id).await.expect("revoked again").revoked_at, revoked.revoked_at);
        assert_eq!(it.services.authenticate_token(secret.expose()).await.expect("an answer"), None);
        assert_eq!(it.admin.tokens().await.expect("tokens"), [revoked]);
        assert_eq!(it.actions().await, ["token.created token:1", "token.revoked token:1"]);
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_token_without_a_name_or_a_future_is_refused() {
    for it in installations().await {
        assert_eq!(refusal(it.admin.create_token("  ", Role::Viewer, None).await), RefusalCode::Invalid);
        let now = it.services.now();
        assert_eq!(refusal(it.admin.create_token("x", Role::Viewer, Some(now)).await), RefusalCode::Invalid);
        assert_eq!(refusal(it.admin.revoke_token(99).await), RefusalCode::NotFound);
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_user_signs_in_and_out() {
    for it in installations().await {
        let user = it.admin.add_user(EMAIL, Role::Marketer, PASSWORD).await.expect("a user");
        let signed_in = it.sign_in("erika.muster@EXAMPLE.com", PASSWORD).await;
        assert_eq!(
            signed_in.subject,
            Subject { id: format!("user:{}", user.id), name: EMAIL.to_owned(), role: Role::Marketer }
        );

        let secret = signed_in.secret.expose();
        let found = it.services.authenticate_session(secret).await.expect("an answer");
        assert_eq!(found, Some(signed_in.subject.clone()));
        it.services.sign_out(secret).await.expect("signed out");
        it.services.sign_out(secret).await.expect("signed out twice");
        assert_eq!(it.services.authenticate_session(secret).await.expect("an answer"), None);
        assert_eq!(it.actions().await, ["user.added user:1", "session.begun user:1", "session.ended user:1"]);
        it.test.close().await;
    }
}

#[tokio::test]
async fn a_user_needs_an_address_of_its_own_and_a_long_password() {
    for it in installations().await {
        assert_eq!(refusal(it.admin.add_user("erika", Role::Viewer, PASSWORD).await), RefusalCode::Invalid);
        assert_eq!(refusal(it.admin.add_user(EMAIL, Role::Viewer, "elevenchars").await), RefusalCode::Invalid);
        assert_eq!(refusal(it.admin.add_user(EMAIL, Role::Viewer, "password1234").await), RefusalCode::Invalid);
        it.admin.add_user(EMAIL, Role::Viewer, PASSWORD).await.expect("a user");
        let other_case = EMAIL.to_uppercase();
        assert_eq!(refusal(it.admin.add_user(&other_case, Role::Admin, PASSWORD).await), RefusalCode::Conflict);
        assert_eq!(it.admin.users().await.expect("users").len(), 1);
        it.test.close().await;
    }
}

#[tokio::test]
async fn the_first_admin_is_made_once() {
    for it in installations().await {
        assert!(!it.services.has_users().await.expect("an answer"));
        let (one, other) = tokio::join!(it.services.first_admin(None), it.services.first_admin(None));
        let mut made: Vec<FirstAdmin> = [one, other].into_iter().filter_map(|made| made.expect("an answer")).collect();
        assert_eq!(made.len(), 1, "of two that start together");
        let admin = made.remove(0);
        assert!(it.services.has_users().await.expect("an answer"));
        assert!(it.services.first_admin(Some("other@example.com")).await.expect("an answer").is_none());
        let signed_in = it.sign_in(&admin.email, admin.password.expose()).await;
        assert_eq!(signed_in.subject.role, Role::Admin);
        it.test.close().await;
    }
}

#[tokio::test]
async fn the_first_admins_address_is_configured_or_cannot_be_guessed() {
    let mut addresses = Vec::new();
    for it in installations().await {
        let admin = it.services.first_admin(None).await.expect("an answer").expect("an admin");
        assert!(admin.email.starts_with("admin-") && admin.email.ends_with("@nachfass.localhost"), "{}", admin.email);
        addresses.push(admin.email);
        it.test.close().await;
    }
    for it in installations().await {
        let admin = it.services.first_admin(Some("Erika@example.com")).await.expect("an answer").expect("an admin");
        assert_eq!(admin.email, "Erika@example.com");
        addresses.push(it.services.account_name(&admin.email));
        it.test.close().await;
    }
    assert_eq!(addresses.iter().collect::<std::collections::HashSet<_>>().len(), addresses.len() / 2 + 1);
}

#[test]
fn a_secret_does_not_show_itself() {
    assert_eq!(format!("{:?}", Secret::for_token()), "Secret(…)");
}
