//! Changing an address while others do.

use crm_testing::superoffice::Misbehaviour;
use domain::crm::{Account, Crm, CrmError, EmailChange, Told};

use super::{Site, is_unavailable};

fn change() -> EmailChange {
    EmailChange {
        person: "3".to_owned(),
        old: Some("person3@example.com".to_owned()),
        new: "p3@example.com".to_owned(),
    }
}

fn email(site: &Site) -> String {
    site.server.person(3).expect("there").emails[0].address.clone()
}

#[tokio::test]
async fn an_address_that_somebody_else_changed_meanwhile_is_a_conflict() {
    let site = Site::new();
    site.server.generate(5);
    let what = Misbehaviour::Readdress { person: 3, email: "by-hand@example.com".to_owned() };
    site.server.misbehave("PATCH Person/3", 1, what);
    let error = site.crm.change_email(&change()).await.expect_err("a conflict");
    assert!(matches!(error, CrmError::Conflict), "{error:?}");
    assert_eq!(email(&site), "by-hand@example.com");
    let patches: Vec<u16> = statuses(&site, "PATCH");
    assert_eq!(patches, [409], "the test found it");
}

#[tokio::test]
async fn another_change_of_the_person_is_read_and_the_address_still_changed() {
    let site = Site::new();
    site.server.generate(5);
    let what = Misbehaviour::Rename { person: 3, name: "Dr. Person 3".to_owned() };
    site.server.misbehave("PATCH Person/3", 1, what);
    site.crm.change_email(&change()).await.expect("changed");
    assert_eq!(email(&site), "p3@example.com");
    assert_eq!(site.server.person(3).expect("there").name, "Dr. Person 3");
    assert_eq!(statuses(&site, "PATCH"), [412, 200], "the time found it");
}

#[tokio::test]
async fn a_change_without_end_is_given_up() {
    let site = Site::new();
    site.server.generate(5);
    site.server.misbehave("PATCH Person/3", 9, Misbehaviour::Answer { status: 412, retry_after: None });
    let error = site.crm.change_email(&change()).await.expect_err("a conflict");
    assert!(matches!(error, CrmError::Conflict), "{error:?}");
    assert_eq!(statuses(&site, "PATCH").len(), 3);
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_fine_the_next_time() {
    let site = Site::new();
    site.server.generate(5);
    site.server.misbehave("PATCH Person/3", 1, Misbehaviour::LoseAnswer);
    let error = site.crm.change_email(&change()).await.expect_err("no answer");
    assert!(is_unavailable(&error, true), "{error:?}");
    site.crm.change_email(&change()).await.expect("so already");
    assert_eq!(email(&site), "p3@example.com");
    assert_eq!(statuses(&site, "PATCH").len(), 1);
}

#[tokio::test]
async fn only_capitals_may_change() {
    let site = Site::new();
    site.server.generate(5);
    site.server.change(3, |person| person.emails[0].address = "Person3@Example.com".to_owned());
    site.crm.change_email(&change()).await.expect("found however it is written");
    assert_eq!(email(&site), "p3@example.com");
    let capitals = EmailChange { old: Some("p3@example.com".to_owned()), new: "P3@example.com".to_owned(), ..change() };
    site.crm.change_email(&capitals).await.expect("changed");
    assert_eq!(email(&site), "P3@example.com");
}

#[tokio::test]
async fn a_refusal_says_which_request_and_no_more() {
    let site = Site::new();
    site.server.generate(5);
    for (status, expected) in [(400, "refuses"), (403, "does not allow PATCH Person/3")] {
        site.server.misbehave("PATCH Person/3", 1, Misbehaviour::Answer { status, retry_after: None });
        let error = site.crm.change_email(&change()).await.expect_err("refused");
        let text = super::chain(&error);
        assert!(text.contains(expected) && !error.may_have_happened(), "{text}");
    }
}

#[tokio::test]
async fn rights_that_are_missing_are_named() {
    let site = Site::new();
    site.server.misbehave("GET Selection", 1, Misbehaviour::Answer { status: 403, retry_after: None });
    let account = site.crm.check().await.expect("reached");
    assert_eq!((account.crm.as_str(), account.user.as_str()), ("SuperOffice, tenant Cust12345", "Erika Muster"));
    assert_eq!(those(&account, Some(false)), ["read selections"]);
}

fn those(account: &Account, allowed: Option<bool>) -> Vec<&str> {
    account.rights.iter().filter(|right| right.allowed == allowed).map(|right| right.what.as_str()).collect()
}

#[tokio::test]
async fn what_may_be_changed_is_asked_for_without_changing_anything() {
    let site = Site::new();
    let account = site.crm.check().await.expect("reached");
    let untold = ["add and remove members of selections", "withdraw consent", "count bounces"];
    let changed = ["correct addresses", "mark former employees"];
    assert_eq!(those(&account, Some(false)), [""; 0]);
    assert_eq!(those(&account, None), [changed.as_slice(), &untold].concat(), "there is nobody to ask it for");
    site.server.generate(3);
    let account = site.crm.check().await.expect("reached");
    assert_eq!(those(&account, None), untold);

    site.server.restrict("selection", "Select, Update");
    site.server.restrict("projectmember", "RI");
    site.server.restrict("person", "Select");
    site.server.restrict("appointment", "Undefined");
    site.server.restrict("diary", "None");
    let account = site.crm.check().await.expect("reached");
    let refused = ["make selections", "make tasks in everybody's diary", "correct addresses", "mark former employees"];
    assert_eq!(those(&account, Some(false)), refused);
    assert_eq!(those(&account, None), [["make tasks"].as_slice(), &untold].concat());
    assert!(account.rights.iter().all(|right| right.allowed == Some(true) || right.reason.is_some()), "{account:?}");
    assert!(!format!("{account:?}").contains("hidden@example.com"), "{account:?}");
    // And so it is.
    assert!(matches!(site.list("k", false).await, Err(CrmError::NoAccess(_))));
    assert!(matches!(site.crm.change_email(&change()).await, Err(CrmError::NoAccess(_))));
    assert!(matches!(site.crm.mark_former_employee("3").await, Err(CrmError::NoAccess(_))));

    // Who may not ask, or has an older version, knows as little as before, and nothing worse.
    site.server.misbehave("Agents/Sentry", 5, Misbehaviour::Answer { status: 404, retry_after: None });
    site.server.misbehave("GET Person/", 1, Misbehaviour::Answer { status: 403, retry_after: None });
    let account = site.crm.check().await.expect("reached");
    assert_eq!((those(&account, Some(false)), those(&account, None).len()), (Vec::new(), 10));
    let changes = |method: &str| site.server.requests().iter().filter(|seen| seen.method == method).count();
    assert_eq!((changes("PATCH"), changes("PUT"), changes("DELETE")), (2, 0, 0), "those that were refused");
}

#[test]
fn a_webhook_is_told_by_its_signature() {
    let site = Site::new();
    let body = br#"{"Event":"projectmember.created","ContextIdentifier":"Cust12345"}"#;
    let signature = crate::providers::signature::hmac_sha256(b"hush", &[body]);
    let signature = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signature);
    let headers = [("x-superoffice-signature".to_owned(), signature)];
    assert_eq!(site.crm.told(&headers, body), Some(vec![Told::Projects]));
    assert_eq!(site.crm.told(&[], body), None);
}

fn statuses(site: &Site, method: &str) -> Vec<u16> {
    site.server.requests().iter().filter(|seen| seen.method == method).map(|seen| seen.status).collect()
}
