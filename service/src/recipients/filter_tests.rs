//! Filters: what they refuse, and which statuses they name. What they find is tested with lists.

use super::*;
use crate::error::RefusalCode;

fn subject(role: Role) -> Subject {
    Subject { id: "token:1".to_owned(), name: "test".to_owned(), role }
}

#[test]
fn what_is_too_deep_or_too_large_is_refused() {
    let marketer = subject(Role::Marketer);
    let nested = |depth: usize| {
        (1..depth).fold(RecipientFilter::Opened(true), |filter, _| RecipientFilter::Not(Box::new(filter)))
    };
    assert_eq!(nested(MAX_DEPTH).check(&marketer), Ok(()));
    assert_eq!(nested(MAX_DEPTH + 1).check(&marketer).expect_err("too deep").code, RefusalCode::Invalid);
    let domains = |count: usize| RecipientFilter::Domain(vec!["example.com".to_owned(); count]);
    assert_eq!(domains(MAX_SIZE - 1).check(&marketer), Ok(()));
    assert_eq!(domains(MAX_SIZE).check(&marketer).expect_err("too large").code, RefusalCode::Invalid);
}

#[test]
fn viewers_do_not_ask_about_persons() {
    let viewer = subject(Role::Viewer);
    assert_eq!(RecipientFilter::Opened(true).check(&viewer), Ok(()));
    for personal in [RecipientFilter::Domain(Vec::new()), RecipientFilter::Owner(Vec::new())] {
        let hidden = RecipientFilter::Any(vec![RecipientFilter::Not(Box::new(personal))]);
        assert_eq!(hidden.check(&viewer).expect_err("personal").code, RefusalCode::Forbidden);
    }
    assert_eq!(check_search(Some(" "), &viewer), Ok(None));
    assert_eq!(check_search(Some("erika"), &viewer).expect_err("personal").code, RefusalCode::Forbidden);
    assert!(check_search(Some(&"x".repeat(MAX_SEARCH + 1)), &subject(Role::Admin)).is_err());
}

#[test]
fn conditions_on_the_status_alone_name_the_statuses() {
    use RecipientStatus as S;
    let status = |list: &[S]| RecipientFilter::Status(list.to_vec());
    let all = RecipientStatus::ALL.to_vec();
    assert_eq!(RecipientFilter::default().statuses(), Some(all.clone()));
    assert_eq!(RecipientFilter::Any(Vec::new()).statuses(), Some(Vec::new()));
    assert_eq!(status(&[S::Sent, S::Read]).statuses(), Some(vec![S::Sent, S::Read]));
    let neither = RecipientFilter::Not(Box::new(RecipientFilter::Any(vec![status(&[S::Sent]), status(&[S::Read])])));
    assert_eq!(
        neither.statuses(),
        Some(all.into_iter().filter(|status| ![S::Sent, S::Read].contains(status)).collect())
    );
    let both = RecipientFilter::All(vec![status(&[S::Sent, S::Read]), status(&[S::Read])]);
    assert_eq!(both.statuses(), Some(vec![S::Read]));
    assert_eq!(RecipientFilter::All(vec![status(&[S::Read]), RecipientFilter::Opened(true)]).statuses(), None);
}
