//! The second factor of admins.

use reqwest::Method;
use serde_json::{Value, json};
use totp_rs::Builder;

use super::{ERIKA, PASSWORD, add, code, cookies, refused, status, user};
use crate::harness::{Api, Site};

in_every_mode!(a_code_is_asked_for_and_counts_once);
in_mode!(where_it_is_required, Sqlite: admins_come_in_with_a_second_factor_only);

/// The code of an app at this moment.
fn app(enrolment: &Value) -> String {
    let uri = enrolment["uri"].as_str().expect("a URI");
    assert!(uri.starts_with("otpauth://totp/nachfass:erika%40kleinfirma.example?secret="), "{uri}");
    let secret = totp_rs::Secret::try_from_base32(enrolment["secret"].as_str().expect("a secret")).expect("base32");
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    Builder::new().with_secret(secret).build().expect("a secret").generate(now).to_string()
}

async fn attempt(api: &Api, password: &str, code: Option<&str>) -> reqwest::Response {
    let body = json!({ "email": ERIKA, "password": password, "code": code });
    api.bare(Method::POST, "/session").json(&body).send().await.expect("an answer")
}

fn enrol(site: &Site, command: &str) -> Value {
    serde_json::from_str(&user(site, &["totp", command, ERIKA, "--json"], "")).expect("JSON")
}

async fn a_code_is_asked_for_and_counts_once(site: Site) {
    add(&site, ERIKA, "admin");
    let _running = site.start().await;
    let api = site.stranger();
    let (before, _) = cookies(&attempt(&api, PASSWORD, None).await);
    let enrolment = enrol(&site, "enable");
    let recovery = enrolment["recoveryCodes"].as_array().expect("a list").clone();
    assert_eq!(recovery.len(), 10);
    crate::harness::within(std::time::Duration::from_secs(5), "the session has ended", async || {
        (status(&api, &before).await == 401).then_some(())
    })
    .await;

    assert_eq!(code(attempt(&api, "wrong", None).await).await, "UNAUTHENTICATED");
    assert_eq!(code(attempt(&api, PASSWORD, None).await).await, "TOTP_REQUIRED");
    assert_eq!(code(attempt(&api, PASSWORD, Some("000000")).await).await, "TOTP_INVALID");
    let now = app(&enrolment);
    let answer = attempt(&api, PASSWORD, Some(&now)).await;
    assert_eq!(answer.status(), 200);
    let (session, device) = cookies(&answer);
    assert_eq!(status(&api, &session).await, 200);
    let again = json!({ "email": ERIKA, "password": PASSWORD, "code": now });
    let replayed = api.bare(Method::POST, "/session").header("cookie", &device).json(&again);
    assert_eq!(code(replayed.send().await.expect("an answer")).await, "TOTP_INVALID", "it was used");

    let code_of = |number: usize| recovery[number].as_str().expect("a text").to_owned();
    let with_device = async |code: &str| {
        let body = json!({ "email": ERIKA, "password": PASSWORD, "code": code });
        api.bare(Method::POST, "/session").header("cookie", &device).json(&body).send().await.expect("an answer")
    };
    assert_eq!(with_device(&code_of(0)).await.status(), 200);
    assert_eq!(code(with_device(&code_of(0)).await).await, "TOTP_INVALID");
    assert_eq!(with_device(&code_of(1)).await.status(), 200);

    assert!(refused(&site, &["totp", "enable", ERIKA], "").contains("second factor already"));
    let renewed = enrol(&site, "reset");
    assert_eq!(code(with_device(&code_of(2)).await).await, "TOTP_INVALID");
    assert_eq!(with_device(&app(&renewed)).await.status(), 200);
    user(&site, &["totp", "disable", ERIKA], "");
    assert_eq!(with_device("").await.status(), 200);
}

async fn admins_come_in_with_a_second_factor_only(site: Site) {
    let site = site.with_more("require_totp_for_admins = true\n");
    add(&site, ERIKA, "admin");
    let _running = site.start().await;
    let api = site.stranger();
    let refused = attempt(&api, PASSWORD, None).await;
    assert_eq!((refused.status().as_u16(), code(refused).await.as_str()), (403, "FORBIDDEN"));
    assert_eq!(code(attempt(&api, "wrong", None).await).await, "UNAUTHENTICATED");
    let enrolment = enrol(&site, "enable");
    assert_eq!(code(attempt(&api, PASSWORD, None).await).await, "TOTP_REQUIRED");
    assert_eq!(attempt(&api, PASSWORD, Some(&app(&enrolment))).await.status(), 200);
    assert_eq!(site.client("admin").graphql(json!({ "query": super::VIEWER })).await.status(), 200, "tokens go on");
}
