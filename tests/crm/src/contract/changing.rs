//! Changing persons and addresses.

use domain::crm::{Bounce, Crm, CrmError, EmailChange};

use super::{World, somebody};

pub(super) async fn an_email(crm: &dyn Crm, world: &dyn World) {
    let person = world.enter(&somebody("Ada", &["ada@gmial.example", "second@change.example"])).await;
    let change =
        |old: &str, new: &str| EmailChange { person: person.clone(), old: Some(old.to_owned()), new: new.to_owned() };
    let emails = async || crm.person(&person).await.expect("answered").expect("there").emails;
    let correction = change("ada@gmial.example", "ada@gmail.example");
    for _ in 0..2 {
        crm.change_email(&correction).await.expect("changed, or so already");
        assert_eq!(
            emails().await,
            ["ada@gmail.example", "second@change.example"],
            "in its place, the others untouched"
        );
    }
    world.readdress(&person, "ada@elsewhere.example").await;
    let error = crm.change_email(&change("ada@gmail.example", "ada@new.example")).await.expect_err("changed meanwhile");
    assert!(matches!(error, CrmError::Conflict), "{error:?}");
    assert_eq!(emails().await, ["ada@elsewhere.example", "second@change.example"], "what others wrote stays");
    crm.change_email(&change("second@change.example", "third@change.example")).await.expect("changed");
    assert_eq!(emails().await, ["ada@elsewhere.example", "third@change.example"]);
    crm.change_email(&change("ada@elsewhere.example", "third@change.example")).await.expect("changed");
    assert_eq!(emails().await, ["third@change.example"], "an address stands there once");
    let added = EmailChange { old: None, ..change("", "fourth@change.example") };
    for _ in 0..2 {
        crm.change_email(&added).await.expect("added, or so already");
        assert_eq!(emails().await, ["third@change.example", "fourth@change.example"], "behind what is there");
    }
    let nobody = EmailChange { person: "999999999".to_owned(), ..correction };
    for nobody in [EmailChange { old: None, ..nobody.clone() }, nobody] {
        let error = crm.change_email(&nobody).await.expect_err("there is nobody");
        assert!(matches!(error, CrmError::NotFound), "{error:?}");
    }
}

pub(super) async fn marks(crm: &dyn Crm, world: &dyn World) {
    let mut ada = somebody("Ada", &["ada@marks.example"]);
    ada.consent = Some(true);
    let person = world.enter(&ada).await;
    let read = async || crm.person(&person).await.expect("answered").expect("there");
    assert_ne!(read().await.consent, Some(false));
    for _ in 0..2 {
        crm.withdraw_consent(&person).await.expect("withdrawn");
        assert_ne!(read().await.consent, Some(true));
    }
    for _ in 0..2 {
        crm.mark_former_employee(&person).await.expect("marked");
        assert!(read().await.is_former_employee);
    }
    assert_eq!(read().await.emails, ["ada@marks.example"]);
    for error in [crm.withdraw_consent("999999999").await, crm.mark_former_employee("999999999").await] {
        assert!(matches!(error, Err(CrmError::NotFound)), "{error:?}");
    }
}

pub(super) async fn bounces(crm: &dyn Crm, world: &dyn World) {
    world.enter(&somebody("Ada", &["ada@bounces.example"])).await;
    let bounce =
        |email: &str, smtp_code| Bounce { email: email.to_owned(), smtp_code, reason: "no such user".to_owned() };
    for expected in 1..=2 {
        crm.add_bounce(&bounce("ada@bounces.example", Some(550))).await.expect("noted");
        assert_eq!(world.bounces("ada@bounces.example").await, expected, "twice counts twice");
    }
    crm.add_bounce(&bounce("nobody@bounces.example", None)).await.expect("an address that nobody has is passed over");
}
