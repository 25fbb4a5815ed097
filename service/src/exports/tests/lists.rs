//! What stands in the files.

use domain::email::EmailAddress;
use domain::health::{AddressHealth, BlockReason};
use domain::status::RecipientStatus;
use domain::table::ExportFormat;
use serde_json::{Value, json};

use super::*;
use crate::addresses::AddressFilter;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

fn emails(text: &str) -> Vec<String> {
    lines(text).iter().map(|line| line["email"].as_str().expect("an address").to_owned()).collect()
}

/// As many as are read in several pages.
const MANY: i64 = 4_500;

#[tokio::test]
async fn every_recipient_of_a_campaign_is_in_the_file_once_and_in_order() {
    for fixture in Fixture::each().await {
        fixture.recipients(MANY).await;
        fixture.run("UPDATE recipient SET is_simulator = TRUE WHERE number = 7", []).await;
        let columns = Some(vec![RecipientColumn::Email]);
        let job = fixture
            .marketer()
            .export_recipients(everybody(), ExportFormat::Jsonl, columns.clone())
            .await
            .expect("a job");
        fixture.work().await;
        let (result, text) = fixture.file(&job).await;
        let wanted = |numbers: &mut dyn Iterator<Item = i64>| -> Vec<String> {
            numbers.map(|number| format!("Person{number}@example.com")).collect()
        };
        assert_eq!(emails(&text), wanted(&mut (1..=MANY).filter(|number| *number != 7)));
        assert_eq!((result.rows, result.size), (MANY - 1, i64::try_from(text.len()).expect("small")));

        for (filter, step) in [
            (RecipientFilter::Status(vec![RecipientStatus::Read]), 0),
            (RecipientFilter::Opened(false), 1),
            (RecipientFilter::Status(vec![RecipientStatus::Sent, RecipientStatus::Clicked]), 1),
        ] {
            let set = RecipientSet::Where(RecipientsWhere { campaign: 1, filter, search: Some("person".to_owned()) });
            let job =
                fixture.marketer().export_recipients(set, ExportFormat::Jsonl, columns.clone()).await.expect("a job");
            fixture.work().await;
            let (_, text) = fixture.file(&job).await;
            assert_eq!(emails(&text), wanted(&mut (1..=MANY).filter(|number| number % 2 == step && *number != 7)));
        }
        assert_eq!(fixture.count("export_file").await, 4);
        fixture.close().await;
    }
}

#[tokio::test]
async fn recipients_that_are_named_come_with_every_column() {
    for fixture in Fixture::each().await {
        fixture.recipients(6).await;
        fixture
            .run(
                "UPDATE recipient SET status = 7, failure_at = 1, failure_smtp_code = 550, failure_enhanced_code = '5.1.1', \
                 failure_diagnostic = 'no such user', company = '=1+1', attributes = '{\"a\":1}', crm_id = '7' WHERE number = 3",
                [],
            )
            .await;
        fixture.run("UPDATE address SET health = 3, blocked_at = 5000000, block_reason = 1 WHERE id = 3", []).await;
        let key = |number| RecipientKey { campaign: 1, number };
        let ids = vec![key(5), key(3), key(99), key(3)];
        let set = RecipientSet::new(Some(ids), None, &Subject::command_line()).expect("a set");
        let columns = Some(RecipientColumn::ALL.to_vec());
        let job = fixture.marketer().export_recipients(set, ExportFormat::Jsonl, columns).await.expect("a job");
        fixture.work().await;
        let (result, text) = fixture.file(&job).await;
        assert_eq!(result.name, "recipients-Spring-2026-01-01.jsonl");
        assert_eq!(emails(&text), ["Person3@example.com", "Person5@example.com"]);
        let first = lines(&text).remove(0);
        for (name, value) in [
            ("company", json!("=1+1")),
            ("attributes", json!("{\"a\":1}")),
            ("crmId", json!("7")),
            ("owner", Value::Null),
            ("status", json!("HARD_BOUNCED")),
            ("bounceClass", json!("UNKNOWN")),
            ("bounceReason", json!("550 5.1.1 no such user")),
            ("sentAt", json!("2026-01-01T00:00:00Z")),
            ("opens", json!(0)),
            ("isSimulator", json!(false)),
            ("attempts", json!(1)),
            ("addressHealth", json!("BLOCKED")),
            ("blockedAt", json!("1970-01-01T00:00:05Z")),
            ("blockReason", json!("HARD_BOUNCE")),
        ] {
            assert_eq!(first[name], value, "{name}");
        }
        assert_eq!(first.as_object().expect("an object").len(), RecipientColumn::ALL.len());
        fixture.close().await;
    }
}

#[tokio::test]
async fn columns_come_in_the_order_in_which_they_are_asked_for() {
    for fixture in Fixture::each().await {
        fixture.recipients(1).await;
        let columns = vec![RecipientColumn::Opens, RecipientColumn::Status, RecipientColumn::Email];
        let job =
            fixture.marketer().export_recipients(everybody(), ExportFormat::Csv, Some(columns)).await.expect("a job");
        fixture.work().await;
        assert_eq!(fixture.file(&job).await.1, "\u{feff}opens,status,email\r\n0,\"SENT\",\"Person1@example.com\"\r\n");
        let job = fixture.marketer().export_recipients(everybody(), ExportFormat::Csv, None).await.expect("a job");
        fixture.work().await;
        let text = fixture.file(&job).await.1;
        let usual = "email,name,company,status,skipReason,bounceClass,bounceReason,sentAt,deliveredAt,firstOpenedAt,opens,firstClickedAt,clicks";
        assert_eq!(text.lines().next().expect("a heading").trim_start_matches('\u{feff}'), usual);
        fixture.close().await;
    }
}

#[tokio::test]
async fn clicks_of_persons_say_who_clicked_what() {
    for fixture in Fixture::each().await {
        fixture.recipients(3).await;
        for (id, recipient, link, verdict) in
            [(10_i64, 1_i64, 1_i64, 0_i16), (11, 2, 2, 0), (12, 2, 1, 0), (13, 3, 1, 4)]
        {
            let sql = "INSERT INTO click (campaign_id, id, recipient, link_id, occurred_at, verdict) VALUES (1, $1, $2, $3, $1, $4)";
            fixture.run(sql, [id.into(), recipient.into(), link.into(), verdict.into()]).await;
        }
        let columns = || Some(vec![ClickColumn::Email, ClickColumn::Url, ClickColumn::ClickedAt, ClickColumn::Status]);
        let row = |person, link, at| {
            let status = if person == 2 { "READ" } else { "SENT" };
            let (email, url) = (format!("Person{person}@example.com"), format!("https://example.com/{link}"));
            json!({ "email": email, "url": url, "clickedAt": format!("1970-01-01T00:00:00.0000{at}Z"), "status": status })
        };
        let job = fixture.marketer().export_clicks(1, None, ExportFormat::Jsonl, columns()).await.expect("a job");
        fixture.work().await;
        assert_eq!(lines(&fixture.file(&job).await.1), [row(1, "a", 10), row(2, "b", 11), row(2, "a", 12)]);
        let job = fixture.marketer().export_clicks(1, Some(1), ExportFormat::Jsonl, columns()).await.expect("a job");
        fixture.work().await;
        assert_eq!(lines(&fixture.file(&job).await.1), [row(1, "a", 10), row(2, "a", 12)]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn addresses_by_name_and_by_condition() {
    for fixture in Fixture::each().await {
        fixture.recipients(5).await;
        fixture.run("UPDATE address SET health = 3, blocked_at = 5000000, block_reason = 3, block_note = 'asked' WHERE id IN (2, 4)", []).await;
        fixture.run("UPDATE address SET health = 2 WHERE id = 3", []).await;
        let filter = |health: &[AddressHealth]| AddressFilter { health: health.to_vec(), ..AddressFilter::default() };
        let manual = AddressFilter { reasons: vec![BlockReason::Manual], ..AddressFilter::default() };
        let foreign = AddressFilter { domains: vec!["example.org".to_owned()], ..AddressFilter::default() };
        let parsed = |emails: &[&str]| {
            AddressSet::Emails(emails.iter().map(|email| EmailAddress::parse(email).expect("an address")).collect())
        };
        for (selection, wanted) in [
            (AddressSet::Where(AddressFilter::default()), vec![2, 4]),
            (AddressSet::Where(filter(&[])), vec![1, 2, 3, 4, 5]),
            (AddressSet::Where(filter(&[AddressHealth::Suspect, AddressHealth::Blocked])), vec![2, 3, 4]),
            (AddressSet::Where(manual), vec![2, 4]),
            (AddressSet::Where(foreign), vec![]),
            (parsed(&["PERSON4@example.com", "person1@EXAMPLE.com", "nobody@example.com"]), vec![1, 4]),
            (parsed(&["nobody@example.com"]), vec![]),
        ] {
            let job =
                fixture.marketer().export_addresses(selection.clone(), ExportFormat::Jsonl, None).await.expect("a job");
            fixture.work().await;
            let (result, text) = fixture.file(&job).await;
            assert_eq!(result.name, "addresses-2026-01-01.jsonl");
            let wanted: Vec<String> = wanted.iter().map(|id| format!("person{id}@example.com")).collect();
            assert_eq!(emails(&text), wanted, "{selection:?}");
            if let Some(blocked) = lines(&text).iter().find(|line| line["email"] == "person2@example.com") {
                let of = ["health", "blockedAt", "blockReason", "blockNote"].map(|name| blocked[name].clone());
                assert_eq!(of, [json!("BLOCKED"), json!("1970-01-01T00:00:05Z"), json!("MANUAL"), json!("asked")]);
            }
        }
        fixture.close().await;
    }
}

#[tokio::test]
async fn complaints_by_campaign_and_time() {
    for fixture in Fixture::each().await {
        fixture.recipients(3).await;
        for (recipient, at) in [(1_i64, 10_i64), (2, 20), (3, 30)] {
            let sql =
                "INSERT INTO complaint (campaign_id, recipient, address_id, complained_at) VALUES (1, $1, $1, $2)";
            fixture.run(sql, [recipient.into(), at.into()]).await;
        }
        let at = |micros| Some(Timestamp::from_micros(micros));
        for (choice, wanted) in [
            (ComplaintFilter::default(), vec![1, 2, 3]),
            (ComplaintFilter { campaign: Some(1), ..ComplaintFilter::default() }, vec![1, 2, 3]),
            (ComplaintFilter { campaign: Some(2), ..ComplaintFilter::default() }, vec![]),
            (ComplaintFilter { since: at(20), until: at(30), ..ComplaintFilter::default() }, vec![2]),
        ] {
            let columns = Some(ComplaintColumn::ALL.to_vec());
            let job = fixture
                .marketer()
                .export_complaints(choice.clone(), ExportFormat::Jsonl, columns)
                .await
                .expect("a job");
            fixture.work().await;
            let (_, text) = fixture.file(&job).await;
            let wanted: Vec<String> = wanted.iter().map(|number| format!("Person{number}@example.com")).collect();
            assert_eq!(emails(&text), wanted, "{choice:?}");
            assert!(lines(&text).iter().all(|line| line["campaignKey"] == "spring" && line["addressHealth"] == "OK"));
        }
        fixture.close().await;
    }
}

#[tokio::test]
async fn every_format_is_written() {
    for fixture in Fixture::each().await {
        fixture.recipients(3).await;
        for format in ExportFormat::ALL {
            let job = fixture.marketer().export_recipients(everybody(), *format, None).await.expect("a job");
            fixture.work().await;
            let result = fixture.result(&job).await;
            assert_eq!((result.rows, result.content_type.as_str()), (3, format.content_type()));
            assert!(result.name.ends_with(format.extension()) && result.size > 200, "{result:?}");
        }
        assert_eq!(fixture.unfinished(), Vec::<String>::new());
        fixture.close().await;
    }
}
