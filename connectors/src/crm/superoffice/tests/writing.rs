//! Changing an address while others do.

use crm_testing::superoffice::Misbehaviour;
use domain::crm::{Crm, CrmError, EmailChange, Told};

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
    let missing: Vec<&str> =
        account.rights.iter().filter(|right| !right.allowed).map(|right| right.what.as_str()).collect();
    assert_eq!(missing, ["read selections"]);
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
