//! Exports on both databases: what stands in the file, that it shows one moment, that there is one file whatever happens, and links.

mod fixture;
mod interrupted;
mod lists;

use domain::table::ExportFormat;

use self::fixture::Fixture;
use super::*;
use crate::error::RefusalCode;
use crate::recipients::{RecipientFilter, RecipientKey, RecipientsWhere};
use crate::subject::{Role, Subject};

fn everybody() -> RecipientSet {
    RecipientSet::Where(RecipientsWhere { campaign: 1, filter: RecipientFilter::default(), search: None })
}

#[tokio::test]
async fn a_link_ends_and_so_does_the_file() {
    for fixture in Fixture::each().await {
        fixture.recipients(3).await;
        let job = fixture.marketer().export_recipients(everybody(), ExportFormat::Csv, None).await.expect("a job");
        fixture.work().await;
        let result = fixture.result(&job).await;
        let link = fixture.reader(Role::Marketer).download_link(&result).expect("a link");
        assert_eq!(link.expires_at, fixture.services.now().plus_seconds(24 * 3_600));
        assert_eq!(fixture.reader(Role::Viewer).download_link(&result), None);

        let (id, expires, signature) = fixture::parts_of(&link.url);
        let follow = async || fixture.services.follow_link(&id, expires, &signature).await.expect("an answer");
        let LinkState::There(file) = follow().await else { panic!("it is there") };
        assert_eq!(
            (file.name.as_str(), file.content_type.as_str()),
            ("recipients-Spring-2026-01-01.csv", "text/csv; charset=utf-8")
        );
        assert_eq!(file.size, u64::try_from(result.size).expect("a size"));
        let later = fixture.services.follow_link(&id, expires + 1, &signature).await.expect("an answer");
        assert_eq!(later, LinkState::Forged);

        fixture.clock.advance_seconds(24 * 3_600);
        assert_eq!(follow().await, LinkState::Over);
        // Of the seven days six are left: a new link ends before the file does, and the last one with it.
        let link = fixture.reader(Role::Marketer).download_link(&result).expect("a link");
        let (id, expires, signature) = fixture::parts_of(&link.url);
        fixture.clock.advance_seconds(5 * 86_400 + 43_200);
        let last = fixture.reader(Role::Marketer).download_link(&result).expect("a link");
        assert_eq!(last.expires_at, result.expires_at);

        let removed = async || remove_expired(&fixture.services, fixture.services.now(), 10).await.expect("removed");
        assert_eq!((removed().await, fixture.stored().len()), (0, 1));
        fixture.clock.advance_seconds(43_200);
        assert_eq!(fixture.reader(Role::Marketer).download_link(&result), None);
        assert_eq!((removed().await, fixture.stored().len()), (1, 0));
        assert_eq!(removed().await, 0);
        assert_eq!(fixture.services.follow_link(&id, expires, &signature).await.expect("an answer"), LinkState::Over);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_exported_is_refused() {
    for fixture in Fixture::each().await {
        let marketer = fixture.marketer();
        let of = |campaign| {
            RecipientSet::Where(RecipientsWhere { campaign, filter: RecipientFilter::default(), search: None })
        };
        let code = |result: crate::Result<Job>| match result {
            Err(ServiceError::Refused(refusal)) => (refusal.code, refusal.field.join(".")),
            other => panic!("{other:?}"),
        };
        let csv = ExportFormat::Csv;
        let invalid = |field: &str| (RefusalCode::Invalid, field.to_owned());
        let missing = |field: &str| (RefusalCode::NotFound, field.to_owned());
        assert_eq!(code(marketer.export_recipients(of(9), csv, None).await), missing("recipients.where.campaignId"));
        assert_eq!(code(marketer.export_recipients(of(1), csv, Some(Vec::new())).await), invalid("columns"));
        let twice = Some(vec![RecipientColumn::Email, RecipientColumn::Name, RecipientColumn::Email]);
        assert_eq!(code(marketer.export_recipients(of(1), csv, twice).await), invalid("columns"));
        assert_eq!(code(marketer.export_clicks(9, None, csv, None).await), missing("campaignId"));
        assert_eq!(code(marketer.export_clicks(2, Some(1), csv, None).await), missing("linkId"));
        let nobody = AddressSelection::Emails(Vec::new());
        assert_eq!(code(marketer.export_addresses(nobody, csv, None).await), invalid("addresses.emails"));
        let choice = ComplaintChoice { campaign: Some(9), ..ComplaintChoice::default() };
        assert_eq!(code(marketer.export_complaints(choice, csv, None).await), missing("campaignId"));
        assert_eq!(fixture.count("job").await, 0);

        let viewer = Subject { id: "token:2".to_owned(), name: "viewer".to_owned(), role: Role::Viewer };
        assert!(fixture.services.access(viewer).marketer().is_err());
        fixture.close().await;
    }
}

#[tokio::test]
async fn who_exported_what_is_written_down_without_any_address() {
    for fixture in Fixture::each().await {
        fixture.recipients(2).await;
        let ids = vec![RecipientKey { campaign: 1, number: 2 }];
        fixture.marketer().export_recipients(RecipientSet::Ids(ids), ExportFormat::Jsonl, None).await.expect("a job");
        let emails = AddressSelection::Emails(vec!["person1@example.com".to_owned()]);
        fixture.marketer().export_addresses(emails, ExportFormat::Csv, None).await.expect("a job");
        let entries =
            fixture.texts("SELECT action || ' ' || object || ' ' || detail FROM audit_entry ORDER BY id").await;
        assert!(entries[0].starts_with("recipients.export campaign:1 {"), "{entries:?}");
        assert!(entries[1].starts_with("addresses.export addresses {"), "{entries:?}");
        let payloads = fixture.texts("SELECT payload FROM job ORDER BY id").await;
        assert!(entries.iter().chain(&payloads).all(|text| !text.contains('@')), "{entries:?} {payloads:?}");
        fixture.close().await;
    }
}
