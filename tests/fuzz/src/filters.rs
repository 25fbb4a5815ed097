//! Filters, from the JSON of a request to SQL.

use std::hint::black_box;

use async_graphql::Value;
use service::fuzzing::{Statement, address_condition, recipient_condition};
use service::recipients::RecipientFilter;
use service::{Role, Subject};

use crate::input::{line, text};

/// A search text on the first line, the filter behind it: as GraphQL takes it, as jobs store it, or one of addresses.
pub fn filter(data: &[u8]) {
    let (search, json) = line(data);
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(json) else { return };
    if let Ok(value) = Value::from_json(json.clone())
        && let Some(filter) = api::fuzzing::recipient_filter(value)
    {
        check(&filter, &search);
    }
    if let Ok(filter) = serde_json::from_value::<RecipientFilter>(json.clone()) {
        check(&filter, &search);
    }
    if let Ok(filter) = serde_json::from_value(json) {
        check_statement(&address_condition(&filter), &search);
    }
}

fn check(filter: &RecipientFilter, search: &str) {
    let subject = Subject { id: "user:1".to_owned(), name: "fuzz".to_owned(), role: Role::Marketer };
    if filter.check(&subject).is_err() {
        return;
    }
    black_box(filter.statuses());
    for by_status in [false, true] {
        let statement = recipient_condition(filter, Some(search), by_status);
        check_statement(&statement, search);
        if search.is_ascii() {
            let plain = recipient_condition(&harmless(filter), Some("x"), by_status);
            assert_eq!(plain.text, statement.text, "the text of the statement depends on a value");
        }
    }
}

/// The same with other texts.
fn harmless(filter: &RecipientFilter) -> RecipientFilter {
    use RecipientFilter::{All, Any, Domain, Not, Owner};
    let plain = |list: &[String]| vec!["x".to_owned(); list.len()];
    match filter {
        All(parts) => All(parts.iter().map(harmless).collect()),
        Any(parts) => Any(parts.iter().map(harmless).collect()),
        Not(part) => Not(Box::new(harmless(part))),
        Domain(list) => Domain(plain(list)),
        Owner(list) => Owner(plain(list)),
        other => other.clone(),
    }
}

/// Each value is bound once, in its order, and all brackets are closed.
fn check_statement(statement: &Statement, search: &str) {
    let Statement { text: sql, values } = statement;
    let mut numbers = sql.split('$').skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    for number in 1..=*values {
        assert_eq!(numbers.next().flatten(), Some(number.to_string().as_str()), "{search:?}: {sql}");
    }
    assert_eq!(numbers.next(), None, "{sql}");
    let mut open = 0_i64;
    for byte in sql.bytes() {
        open += i64::from(byte == b'(') - i64::from(byte == b')');
        assert!(open >= 0, "{sql}");
    }
    assert_eq!(open, 0, "{sql}");
    assert!(sql.is_ascii() && !sql.contains(['\0', '"', ';']), "{}", text(sql.as_bytes()));
}
