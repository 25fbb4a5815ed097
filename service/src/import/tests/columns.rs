//! What columns are called.

use crate::import::columns::{Columns, Field, Mapping, Row};
use crate::import::records::{Content, Record};

fn row(header: &[&str], cells: &[&str], mapping: Mapping) -> Row {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let columns = Columns::of_header(&owned(header), mapping).expect("columns");
    let content = Ok(Content::Cells(owned(cells)));
    columns.read(Record { line: 2, last_line: 2, text: cells.join(";"), content }).expect("a row")
}

#[test]
fn names_are_known_in_english_and_german_however_they_are_spelled() {
    for name in ["email", "E-Mail", "e-mail-adresse", "E-Mail Address", "MAIL", " E_Mail "] {
        assert_eq!(row(&[name], &["Erika@Example.com"], Mapping::new()).email_key, "erika@example.com", "{name}");
    }
    for names in [
        ["First Name", "last_name", "Company", "Owner", "CRM ID", "Recipient-ID", "Message ID"],
        ["Vorname", "NACHNAME", "Firma", "Betreuer", "Person-ID", "Empfänger-ID", "Nachrichten-ID"],
        ["vorname", "Nachname", "Unternehmen", "Verantwortlicher", "crm-id", "empfaenger id", "nachrichten_id"],
    ] {
        let header: Vec<&str> = ["mail"].into_iter().chain(names).collect();
        let row = row(&header, &["e@example.com", "Erika", "Muster", "M AG", "Jo", "5", "7", "<x@y>"], Mapping::new());
        let said = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(
            (row.name, row.company, row.owner, row.crm_id),
            (said("Erika Muster"), said("M AG"), said("Jo"), said("5"))
        );
        assert_eq!((row.recipient_id.as_deref(), row.message_id.as_deref()), (Some("7"), Some("x@y")));
        assert!(row.attributes.is_empty());
    }
}

#[test]
fn all_else_is_kept_as_attributes() {
    let row = row(
        &["email", "mail", "name", "Vorname", "", "x", "x"],
        &["e@example.com", "f@example.com", "Dr. E. Muster", "Erika", "a", "b", "c"],
        Mapping::new(),
    );
    assert_eq!(row.name, Some(Some("Dr. E. Muster".to_owned())));
    let attributes = serde_json::Value::Object(row.attributes);
    let want = serde_json::json!({ "mail": "f@example.com", "Vorname": "Erika", "5": "a", "x": "b", "x 7": "c" });
    assert_eq!(attributes, want);
}

#[test]
fn what_a_file_does_not_speak_of_is_told_from_what_is_empty() {
    let row = row(&["email", "name", "firma"], &["e@example.com", " "], Mapping::new());
    assert_eq!((row.name, row.company, row.owner), (Some(None), None, None));
}

#[test]
fn a_mapping_goes_before_names() {
    let mapping = Mapping::from([(Field::Email, "second".to_owned()), (Field::Name, "Wer".to_owned())]);
    let row = row(&["email", "Second", "wer"], &["e@example.com", "f@example.com", "Erika"], mapping.clone());
    assert_eq!((row.email.as_str(), row.name), ("f@example.com", Some(Some("Erika".to_owned()))));
    assert_eq!(row.attributes.get("email").and_then(|value| value.as_str()), Some("e@example.com"));
    let refusal = Columns::of_header(&["email".to_owned()], mapping).expect_err("refused");
    assert_eq!(refusal.field, ["mapping"]);
    assert!(refusal.message.contains("\"email\""), "{refusal}");
}

#[test]
fn overlong_ids_are_refused_and_overlong_addresses_cut() {
    let columns =
        Columns::of_header(&["email".to_owned(), "recipient id".to_owned()], Mapping::new()).expect("columns");
    let read = |email: String, id: String| {
        let content = Ok(Content::Cells(vec![email, id]));
        columns.read(Record { line: 2, last_line: 2, text: String::new(), content })
    };
    assert!(read("e@example.com".to_owned(), "x".repeat(201)).expect_err("refused").1.contains("200"));
    let row = read("ä".repeat(5_000), String::new()).expect("a row");
    assert!(!row.is_valid && row.email.chars().count() == 320 && row.email_key.len() < 2_000);
}
