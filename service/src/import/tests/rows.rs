//! Which recipient a row stands for, and what changes about it.

use std::fmt::Write;

use domain::campaign::CampaignState;

use super::{Fixture, counts};
use crate::import::{CHUNK_RECORDS, Import, ImportOptions, Source, position};

const DOUBLES: &str = "email;name\n\
    erika@example.com;Erika\n\
    ERIKA@Example.com;Erika M.\n\
    bert@example.com;Bert\n\
    erika@example.com;Erika\n\
    not an address;Nobody\n\
    not an address;Nobody\n\
    bounce@simulator.amazonses.com;Test\n";

const DOUBLES_WITH_IDS: &str = "recipient id;email;name\n\
    1;erika@example.com;Erika\n\
    2;erika@example.com;Erika the second\n\
    1;erika@example.com;Erika once more\n\
    1;bert@example.com;Bert\n\
    ;erika@example.com;Erika without\n\
    3;bert@example.com;Bert\n";

#[tokio::test]
async fn doubles_and_invalid_addresses_are_skipped_and_kept() {
    for fixture in Fixture::each().await {
        assert_eq!(counts(&fixture.import(DOUBLES).await), [3, 0, 0, 4, 0]);
        let want = [
            "erika@example.com|Erika||READY",
            "ERIKA@example.com|Erika M.||DUPLICATE",
            "bert@example.com|Bert||READY",
            "erika@example.com|Erika||DUPLICATE",
            "not an address|Nobody||INVALID_ADDRESS",
            "not an address|Nobody||INVALID_ADDRESS",
            "bounce@simulator.amazonses.com|Test||READY",
        ];
        assert_eq!(fixture.recipients().await, want);
        assert_eq!(fixture.count("SELECT recipients FROM campaign_statistics").await, 6);
        fixture.check_figures().await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_recipient_id_is_the_identity() {
    for fixture in Fixture::each().await {
        assert_eq!(counts(&fixture.import(DOUBLES_WITH_IDS).await), [2, 0, 0, 3, 1]);
        let want = [
            "erika@example.com|Erika||READY",
            "erika@example.com|Erika the second||DUPLICATE",
            "erika@example.com|Erika once more||DUPLICATE",
            "erika@example.com|Erika without||DUPLICATE",
            "bert@example.com|Bert||READY",
        ];
        assert_eq!(fixture.recipients().await, want);
        assert_eq!(fixture.count("SELECT line FROM import_issue").await, 5);
        // Another address for a known id, in a later file.
        assert_eq!(counts(&fixture.import("recipient id,email\n3,carl@example.com\n").await), [0, 0, 0, 0, 1]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn importing_twice_changes_nothing() {
    for file in [DOUBLES, DOUBLES_WITH_IDS] {
        for fixture in Fixture::each().await {
            let first = fixture.import(file).await;
            let before = fixture.dump().await;
            for _ in 0..2 {
                fixture.clock.advance_seconds(60);
                let again = fixture.import(file).await;
                let [imported, _, _, skipped, rejected] = counts(&first);
                assert_eq!(counts(&again), [0, 0, imported, skipped, rejected]);
                assert_eq!(fixture.dump().await, before);
            }
            fixture.check_figures().await;
            fixture.close().await;
        }
    }
}

#[tokio::test]
async fn an_extended_file_adds_and_updates() {
    for fixture in Fixture::each().await {
        fixture.import("email,name,company,city\nerika@example.com,Erika,A,Bonn\nbert@example.com,Bert,B,\ncarl@example.com,Carl,,\n").await;
        let second = "email,name,street\nbert@example.com,Bert,\nerika@example.com,,Weg 1\nerika@example.com,Erika,\ndora@example.com,Dora,\n";
        assert_eq!(counts(&fixture.import(second).await), [1, 1, 1, 1, 0]);
        let want = [
            "erika@example.com||A|READY",
            "bert@example.com|Bert|B|READY",
            "carl@example.com|Carl||READY",
            "erika@example.com|Erika||DUPLICATE",
            "dora@example.com|Dora||READY",
        ];
        assert_eq!(fixture.recipients().await, want);
        let attributes: String = fixture.rows("SELECT attributes FROM recipient WHERE number = 1").await[0]
            .try_get_by_index(0)
            .expect("a text");
        assert_eq!(attributes, r#"{"city":"Bonn","street":"Weg 1"}"#);
        fixture.check_figures().await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn recipients_gain_ids_and_message_ids() {
    for fixture in Fixture::each().await {
        fixture.import("email\nerika@example.com\nbert@example.com\n").await;
        let file = "email,recipient_id,Message-ID\nerika@example.com,17,<a@mail>\nbert@example.com,18,b@mail\n";
        assert_eq!(counts(&fixture.import(file).await), [0, 2, 0, 0, 0]);
        assert_eq!(counts(&fixture.import(file).await), [0, 0, 2, 0, 0]);
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE ref IN ('17', '18')").await, 2);
        assert_eq!(fixture.count("SELECT recipient FROM message WHERE message_id = 'a@mail'").await, 1);
        // A message id alone is news, too.
        let resent = "email,recipient_id,Message-ID\nerika@example.com,17,<c@mail>\n";
        assert_eq!(counts(&fixture.import(resent).await), [0, 1, 0, 0, 0]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_campaign_that_has_gone_out_has_sent_recipients() {
    for mut fixture in Fixture::each().await {
        fixture.import("email\nerika@example.com\nbert@example.com\nbert@example.com\n").await;
        fixture.campaign("spring", CampaignState::Sent).await;
        let file = "email\nerika@example.com\nbert@example.com\nbert@example.com\ncarl@example.com\nnonsense\n";
        assert_eq!(counts(&fixture.import(file).await), [1, 2, 0, 2, 0]);
        let want = [
            "erika@example.com|||SENT",
            "bert@example.com|||SENT",
            "bert@example.com|||DUPLICATE",
            "carl@example.com|||SENT",
            "nonsense|||INVALID_ADDRESS",
        ];
        assert_eq!(fixture.recipients().await, want);
        assert_eq!(fixture.count("SELECT count(*) FROM recipient WHERE sent_at = 1767000000000000").await, 3);
        assert_eq!(counts(&fixture.import(file).await), [0, 0, 3, 2, 0]);
        fixture.check_figures().await;

        fixture.campaign = fixture.campaign("summer", CampaignState::Sent).await;
        fixture.import(file).await;
        fixture.check_figures().await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_blocked_address_is_skipped() {
    for fixture in Fixture::each().await {
        let sql = "INSERT INTO address (email_key, health, blocked_at, block_reason, created_at) VALUES ('erika@example.com', 3, 1, 1, 1)";
        crate::db::execute(fixture.services.db.write(), sql, []).await.expect("an address");
        fixture.import("email\nErika@example.com\n").await;
        assert_eq!(fixture.recipients().await, ["Erika@example.com|||BLOCKED_ADDRESS"]);
        fixture.check_figures().await;
        fixture.close().await;
    }
}

/// Rows of which some are double, some broken and some invalid, more than fit into a chunk.
fn long_file() -> String {
    let mut file = "email;name;recipient id\n".to_owned();
    for row in 0..CHUNK_RECORDS * 3 + 100 {
        let id = if row % 3 == 0 { row.to_string() } else { String::new() };
        match row % 50 {
            7 => writeln!(file, "nonsense {};x;{id}", row % 4),
            8 => writeln!(file, ";x;{id}"),
            9 => writeln!(file, "r{row}@example.com;\"broken"),
            10 => writeln!(file, "r{row}@example.com;\"two\nlines\";{id}"),
            11 | 12 => writeln!(file, "r11@example.com;double;{id}"),
            _ => writeln!(file, "r{row}@d{}.example;Name {row};{id}", row % 7),
        }
        .expect("written");
    }
    file
}

#[tokio::test]
async fn an_import_that_was_stopped_goes_on_without_loss_or_doubles() {
    let file = long_file();
    for (undisturbed, stopped) in Fixture::each().await.into_iter().zip(Fixture::each().await) {
        let want = undisturbed.import(&file).await;
        for chunks in 0..4 {
            let mut import = stopped.start(&file).await.expect("started");
            let id = import.id();
            for _ in 0..chunks {
                import.step().await.expect("written");
            }
            drop(import);
            if chunks == 2 {
                // The others stand for imports that were begun anew: their rows are there already.
                let position = position(&stopped.services, id).await.expect("a position");
                assert_eq!(position.counts.read(), 4_000);
                let source = Source::reader(std::io::Cursor::new(file.clone().into_bytes()));
                let resumed = Import::resume(&stopped.services, id, position, source, ImportOptions::default()).await;
                let result = resumed.expect("resumed").run(|_| ()).await.expect("imported");
                assert_eq!(result.read, want.read);
                assert_eq!(result.counts.rejected, want.counts.rejected);
            }
        }
        assert_eq!(stopped.dump().await, undisturbed.dump().await);
        let issues =
            "SELECT count(*) FROM import_issue i JOIN import ON import.id = i.import_id WHERE finished_at IS NOT NULL";
        assert_eq!(stopped.count(issues).await, undisturbed.count(issues).await);
        stopped.check_figures().await;
        undisturbed.check_figures().await;
        let again = undisturbed.import(&file).await;
        assert_eq!((again.counts.imported, again.counts.updated), (0, 0));
        stopped.close().await;
        undisturbed.close().await;
    }
}

#[tokio::test]
async fn two_workers_at_one_import_do_not_double_it() {
    let file = long_file();
    for fixture in Fixture::each().await {
        let mut first = fixture.start(&file).await.expect("started");
        let standing = position(&fixture.services, first.id()).await.expect("a position");
        let source = Source::reader(std::io::Cursor::new(file.clone().into_bytes()));
        let second = Import::resume(&fixture.services, first.id(), standing, source, ImportOptions::default()).await;
        let second = second.expect("resumed");
        first.step().await.expect("written");
        let error = second.run(|_| ()).await.expect_err("behind");
        assert!(error.to_string().contains("somebody else"), "{error}");
        first.finish().await.expect("imported");
        fixture.check_figures().await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn the_end_is_audited_and_has_events_matched() {
    for fixture in Fixture::each().await {
        fixture.import("email\nerika@example.com\n").await;
        assert_eq!(fixture.count("SELECT count(*) FROM audit_entry WHERE action = 'recipients.imported'").await, 1);
        assert_eq!(fixture.count("SELECT count(*) FROM job WHERE kind = 2 AND queue = 1 AND state = 1").await, 1);
        assert_eq!(
            fixture.count("SELECT count(*) FROM import WHERE finished_at IS NOT NULL AND lines_done = 2").await,
            1
        );
        fixture.close().await;
    }
}
