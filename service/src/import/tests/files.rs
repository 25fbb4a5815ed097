//! Files as programs write them.

use std::io::Write;

use super::{Fixture, counts};

const ERIKA: &str = "erika@example.com|Erika Müller|Müller & Söhne|READY";
const BERT: &str = "bert@example.org|Bert|Bert; Söhne|READY";

async fn gives_both(content: &[u8]) {
    for fixture in Fixture::each().await {
        let result = fixture.import(content).await;
        assert_eq!(counts(&result), [2, 0, 0, 0, 0]);
        assert_eq!(fixture.recipients().await, [ERIKA, BERT]);
        fixture.check_figures().await;
        fixture.close().await;
    }
}

#[tokio::test]
async fn comma_semicolon_and_tab() {
    gives_both(
        "email,name,company\nerika@example.com,Erika Müller,Müller & Söhne\nbert@example.org,Bert,Bert; Söhne\n"
            .as_bytes(),
    )
    .await;
    gives_both(
        "email;name;company\r\nerika@example.com;Erika Müller;Müller & Söhne\r\nbert@example.org;Bert;\"Bert; Söhne\""
            .as_bytes(),
    )
    .await;
    gives_both(
        "email\tname\tcompany\nerika@example.com\tErika Müller\tMüller & Söhne\nbert@example.org\tBert\tBert; Söhne\n"
            .as_bytes(),
    )
    .await;
    gives_both(
        "sep=|\nemail|name|company\nerika@example.com|Erika Müller|Müller & Söhne\nbert@example.org|Bert|Bert; Söhne\n"
            .as_bytes(),
    )
    .await;
}

#[tokio::test]
async fn as_excel_in_germany_writes_it() {
    gives_both(include_bytes!("../../../fixtures/import/excel-windows-1252.csv")).await;
    gives_both(include_bytes!("../../../fixtures/import/excel-utf8-bom.csv")).await;
}

#[tokio::test]
async fn as_old_programs_on_the_mac_write_it() {
    gives_both(
        "email;name;company\rerika@example.com;Erika Müller;Müller & Söhne\rbert@example.org;Bert;\"Bert; Söhne\"\r"
            .as_bytes(),
    )
    .await;
}

#[tokio::test]
async fn gzip_is_unpacked() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(include_bytes!("../../../fixtures/import/excel-utf8-bom.csv")).expect("packed");
    let packed = packed.finish().expect("packed");
    gives_both(&packed).await;
    for fixture in Fixture::each().await {
        let refusal = fixture.refusal(&packed[..packed.len() / 2]).await;
        assert!(refusal.message.contains("damaged or incomplete"), "{refusal}");
        fixture.close().await;
    }
}

#[tokio::test]
async fn json_lines() {
    for fixture in Fixture::each().await {
        let result = fixture.import(include_bytes!("../../../fixtures/import/recipients.jsonl")).await;
        assert_eq!(counts(&result), [3, 0, 0, 0, 3]);
        assert_eq!(fixture.recipients().await, [ERIKA, BERT, "carl@example.org|||READY"]);
        let attributes = fixture.rows("SELECT attributes FROM recipient ORDER BY number").await;
        let attributes: Vec<Option<String>> =
            attributes.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect();
        assert_eq!(attributes, [Some(r#"{"points":7,"tags":["a","b"]}"#.to_owned()), None, None]);
        let lines = fixture.rows("SELECT line, reason FROM import_issue ORDER BY line").await;
        let lines: Vec<i64> = lines.iter().map(|row| row.try_get_by_index(0).expect("a line")).collect();
        assert_eq!(lines, [3, 5, 7]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_broken_line_costs_that_line_only() {
    for fixture in Fixture::each().await {
        let content = "email;name;note\n\
            erika@example.com;Erika;\"two\nlines\"\n\
            bert@example.com;\"Bert;open\n\
            ;;\n\
            \n\
            ;nobody;x\n\
            carl@example.com;\"C\" x;y\n\
            dora@example.com;\"Dora \"\"D\"\"\";x\n\
            emil@example.com;Emil;x;too many\n\
            frida@example.com;\"Frida";
        let result = fixture.import(content).await;
        assert_eq!(counts(&result), [2, 0, 0, 0, 5]);
        assert_eq!(
            fixture.recipients().await,
            ["erika@example.com|Erika||READY", "dora@example.com|Dora \"D\"||READY"]
        );
        let issues = fixture.rows("SELECT line, content, reason FROM import_issue ORDER BY line").await;
        let issues: Vec<(i64, String)> = issues
            .iter()
            .map(|row| (row.try_get_by_index(0).expect("a line"), row.try_get_by_index(1).expect("a text")))
            .collect();
        let want = [
            (4, "bert@example.com;\"Bert;open"),
            (7, ";nobody;x"),
            (8, "carl@example.com;\"C\" x;y"),
            (10, "emil@example.com;Emil;x;too many"),
            (11, "frida@example.com;\"Frida"),
        ];
        assert_eq!(issues, want.map(|(line, text)| (line, text.to_owned())));
        fixture.close().await;
    }
}

#[tokio::test]
async fn a_line_that_is_too_long_costs_that_line_only() {
    for fixture in Fixture::each().await {
        let content = format!("email\nerika@example.com\n{}\nbert@example.com\n", "x".repeat((1 << 20) + 1));
        let result = fixture.import(content).await;
        assert_eq!(counts(&result), [2, 0, 0, 0, 1]);
        assert_eq!(
            fixture.count("SELECT CAST(length(content) AS BIGINT) FROM import_issue WHERE line = 3").await,
            2_000
        );
        fixture.close().await;
    }
}

#[tokio::test]
async fn nul_and_other_nonsense_is_survived() {
    for fixture in Fixture::each().await {
        let result = fixture.import(b"email;name\0;x\0y\nerika@example.com;Er\0ika;\0z\n\0\0\0\nfoo\0@x;;\0\n").await;
        assert_eq!(result.counts.imported, 1);
        assert_eq!(fixture.recipients().await[0], "erika@example.com|Erika||READY");
        let json =
            fixture.import("{\"email\":\"bert@example.com\",\"name\":\"B\\u0000\",\"a\\u0000\":\"\\u0000b\"}").await;
        assert_eq!(json.counts.imported, 1);
        fixture.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_what_to_do() {
    for fixture in Fixture::each().await {
        for (content, words) in [
            (&b""[..], "empty"),
            (b"\n \n", "empty"),
            (b"name;firma\nErika;x\n", "\"name\", \"firma\""),
            (b"erika@example.com;Erika\n", "the first line seems to hold data"),
            (b"PK\x03\x04xyz", "save the sheet as CSV"),
            (b"\xFF\xFEe\0m\0", "UTF-16"),
            (b"{\"name\":\"Erika\"}\n{\"name\":\"Bert\"}\n", "\"name\""),
            (b"email;\"name\nx", "line 1"),
        ] {
            let refusal = fixture.refusal(content).await;
            assert!(refusal.message.contains(words), "{refusal}");
            assert!(!refusal.message.contains("example.com"));
        }
        assert_eq!(fixture.count("SELECT count(*) FROM recipient").await, 0);
        fixture.close().await;
    }
}
