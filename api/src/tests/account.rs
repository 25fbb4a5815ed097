//! What users do with their own account by GraphQL, with a session and its cookies.

use actix_web::cookie::Cookie;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use service::Role;

use crate::testing::{EMAIL, Installation, PASSWORD};

const NEW: &str = "three sleepy walruses";

/// A browser: it keeps the cookies that it is given.
struct Browser<'a> {
    it: &'a Installation,
    session: Cookie<'static>,
}

impl Browser<'_> {
    async fn ask(&mut self, query: &str) -> Value {
        let request =
            TestRequest::post().uri("/graphql").cookie(self.session.clone()).insert_header(("x-nachfass", "1"));
        let answer = self.it.ask(request.set_json(json!({ "query": query }))).await;
        if let Some(cookie) = answer.cookies.iter().find(|cookie| cookie.name() == self.session.name()) {
            self.session = cookie.clone();
        }
        answer.json()
    }

    /// The only field of the data.
    async fn data(&mut self, query: &str) -> Value {
        let mut answer = self.ask(query).await;
        assert!(answer["errors"].is_null(), "{query}: {answer}");
        let fields = answer["data"].as_object_mut().expect("an object");
        fields.values_mut().next().expect("a field").take()
    }
}

async fn browser(it: &Installation, role: Role) -> Browser<'_> {
    Browser { it, session: it.session(role).await }
}

/// The code that an app shows which has this secret.
fn code(it: &Installation, secret: &str) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).expect("base32");
    let totp = totp_rs::Builder::new().with_secret(secret).build().expect("a secret");
    totp.generate(u64::try_from(it.services.now().seconds()).expect("after 1970")).to_string()
}

#[actix_web::test]
async fn a_user_changes_the_password_and_stays_signed_in() {
    let it = Installation::new().await;
    let mut here = browser(&it, Role::Viewer).await;
    let before = here.session.clone();
    let wrong = here.data(
        "mutation { changePassword(oldPassword: \"wrong\", newPassword: \"x\") { success userErrors { code field } } }",
    );
    assert_eq!(
        wrong.await,
        json!({ "success": false, "userErrors": [{ "code": "INVALID", "field": ["oldPassword"] }] })
    );
    let change = |new: &str| {
        format!(
            "mutation {{ changePassword(oldPassword: \"{PASSWORD}\", newPassword: \"{new}\") {{ success userErrors {{ field }} }} }}"
        )
    };
    assert_eq!(here.data(&change("short")).await["userErrors"][0]["field"], json!(["newPassword"]));
    assert_eq!(here.data(&change(NEW)).await, json!({ "success": true, "userErrors": [] }));
    // The session of before has ended; the one that goes on has another cookie.
    assert_ne!(here.session.value(), before.value());
    assert_eq!(here.data("{ viewer { name } }").await["name"], EMAIL);
    let mut old = Browser { it: &it, session: before };
    assert_eq!(old.ask("{ viewer { name } }").await["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
}

#[actix_web::test]
async fn a_user_enables_and_disables_the_second_factor() {
    let it = Installation::new().await;
    let mut here = browser(&it, Role::Marketer).await;
    let enable = |password: &str| {
        format!("mutation {{ enableTotp(password: \"{password}\") {{ uri secret userErrors {{ field }} }} }}")
    };
    assert_eq!(here.data(&enable("wrong")).await["userErrors"][0]["field"], json!(["password"]));
    let enrolment = here.data(&enable(PASSWORD)).await;
    assert!(enrolment["uri"].as_str().is_some_and(|uri| uri.starts_with("otpauth://totp/")), "{enrolment}");
    let secret = enrolment["secret"].as_str().expect("a secret").to_owned();
    assert_eq!(here.data("{ viewer { recoveryCodesLeft } }").await["recoveryCodesLeft"], Value::Null);

    let confirm =
        |code: &str| format!("mutation {{ confirmTotp(code: \"{code}\") {{ recoveryCodes userErrors {{ field }} }} }}");
    assert_eq!(here.data(&confirm("000000")).await["userErrors"][0]["field"], json!(["code"]));
    let confirmed = here.data(&confirm(&code(&it, &secret))).await;
    let first = confirmed["recoveryCodes"].as_array().expect("codes").clone();
    assert_eq!(first.len(), 10);
    assert_eq!(here.data("{ viewer { recoveryCodesLeft } }").await["recoveryCodesLeft"], 10);

    let renew = |code: &str| {
        format!(
            "mutation {{ renewRecoveryCodes(password: \"{PASSWORD}\", code: \"{code}\") {{ recoveryCodes userErrors {{ field }} }} }}"
        )
    };
    let used = first[0].as_str().expect("a code");
    let renewed = here.data(&renew(used)).await;
    assert!(renewed["recoveryCodes"].as_array().is_some_and(|codes| codes.len() == 10 && !codes.contains(&first[1])));
    // The codes of before are void.
    assert_eq!(here.data(&renew(first[1].as_str().expect("a code"))).await["userErrors"][0]["field"], json!(["code"]));

    let disable = |code: &str| {
        format!(
            "mutation {{ disableTotp(password: \"{PASSWORD}\", code: \"{code}\") {{ success userErrors {{ field }} }} }}"
        )
    };
    assert_eq!(here.data(&disable("000000")).await["userErrors"][0]["field"], json!(["code"]));
    let code = renewed["recoveryCodes"][0].as_str().expect("a code").to_owned();
    assert_eq!(here.data(&disable(&code)).await, json!({ "success": true, "userErrors": [] }));
    assert_eq!(here.data("{ viewer { recoveryCodesLeft } }").await["recoveryCodesLeft"], Value::Null);
}

#[actix_web::test]
async fn sessions_are_seen_and_ended() {
    let it = Installation::new().await;
    let mut here = browser(&it, Role::Viewer).await;
    let sign_in = TestRequest::post().uri("/session").set_json(json!({ "email": EMAIL, "password": PASSWORD }));
    it.clock.advance_seconds(1);
    let other = it.ask(sign_in).await.cookies.remove(0);
    let mut there = Browser { it: &it, session: other };

    let sessions = here.data("{ viewer { sessions { id createdAt lastSeenAt expiresAt } } }").await["sessions"].take();
    assert_eq!(sessions.as_array().map(Vec::len), Some(2));
    assert!(sessions[0]["createdAt"].as_str() > sessions[1]["createdAt"].as_str(), "the latest first: {sessions}");
    let end = |id: &Value| format!("mutation {{ endSession(id: {id}) {{ deletedId userErrors {{ code field }} }} }}");
    assert_eq!(here.data(&end(&sessions[0]["id"])).await["deletedId"], sessions[0]["id"]);
    assert_eq!(there.ask("{ viewer { name } }").await["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    let gone = here.data(&end(&sessions[0]["id"])).await;
    assert_eq!(gone["userErrors"], json!([{ "code": "NOT_FOUND", "field": ["id"] }]));

    // Nobody ends a session of somebody else, but for admins; these see them, too.
    let admin = it.token(Role::Admin).await;
    let ask = async |token: &(&'static str, String), query: String| {
        let request = TestRequest::post().uri("/graphql").insert_header(token.clone());
        it.ask(request.set_json(json!({ "query": query }))).await.json()
    };
    let users = ask(&admin, "{ users { id sessions { id } } }".to_owned()).await["data"]["users"].take();
    assert_eq!(users[0]["sessions"], json!([{ "id": sessions[1]["id"] }]));
    let marketer = it.token(Role::Marketer).await;
    let refused = ask(&marketer, end(&sessions[1]["id"])).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");
    let end_all = format!(
        "mutation {{ endUserSessions(userId: {}) {{ sessionsEnded userErrors {{ field }} }} }}",
        users[0]["id"]
    );
    assert_eq!(ask(&admin, end_all).await["data"]["endUserSessions"], json!({ "sessionsEnded": 1, "userErrors": [] }));
    assert_eq!(here.ask("{ viewer { name } }").await["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
}

#[actix_web::test]
async fn a_token_has_no_account() {
    let it = Installation::new().await;
    let token = it.token(Role::Admin).await;
    for query in [
        "mutation { changePassword(oldPassword: \"a\", newPassword: \"b\") { success } }",
        "mutation { enableTotp(password: \"a\") { uri } }",
        "mutation { disableTotp(password: \"a\", code: \"b\") { success } }",
    ] {
        let request = TestRequest::post().uri("/graphql").insert_header(token.clone());
        let answer = it.ask(request.set_json(json!({ "query": query }))).await;
        assert_eq!(answer.code(), "FORBIDDEN", "{query}");
    }
    let request = TestRequest::post().uri("/graphql").insert_header(token);
    let answer = it.ask(request.set_json(json!({ "query": "{ viewer { sessions { id } recoveryCodesLeft } }" }))).await;
    assert_eq!(answer.json()["data"]["viewer"], json!({ "sessions": [], "recoveryCodesLeft": null }));
}
