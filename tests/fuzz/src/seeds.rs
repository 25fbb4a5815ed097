//! Inputs to begin with: the fixtures of the tests, the operations of the client, and what lies in `seeds/`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use service::fuzzing::{Links, Tokens};

use crate::cursors::KEY;

/// Words of JSON and of what providers send.
pub const JSON_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "\"\"",
    "-1",
    "1e999",
    "9223372036854775807",
    "\"1.5\"",
    "\"\\ud83d\"",
    "\"\\u0000\"",
    "[[[[[[[[",
    "{\"a\":",
    "\n\n",
    "\n",
    "content-type: application/x-www-form-urlencoded\n",
    "content-type: multipart/form-data; boundary=x\n",
    "authorization: Bearer secret\n",
    "%00",
    "&",
    "=",
    "@",
    "<",
    ">",
    "2026-01-01T00:00:00Z",
    "550 5.1.1 ",
    "421",
    "mailto:",
    "https://x.example/?",
];
/// Words of GraphQL.
pub const GRAPHQL_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ":",
    "$",
    "!",
    "@",
    "...",
    "|",
    "=",
    "#",
    "\"",
    "\"\"\"",
    "query",
    "mutation",
    "subscription",
    "fragment",
    " on ",
    "...on Node{",
    "...f",
    "@include(if:$v)",
    "@skip(if:true)",
    "__typename",
    "__schema{",
    "__type(name:",
    "id",
    "node(id:",
    "campaigns(first:1){",
    "nodes{",
    "edges{node{",
    "recipients(filter:{and:[",
    "not:{",
    "first:500",
    "after:\"",
    "a:id",
    "$v:[ID!]!",
    "-0",
    "1e308",
    "\\u{0}",
    "\\\"",
    "{\"query\":\"",
    "\",\"variables\":{",
    "\"operationName\":null",
    "\"extensions\":{",
];
/// Words of CSV.
pub const CSV_WORDS: &[&str] = &[
    ",",
    ";",
    "\t",
    "\"",
    "\"\"",
    "\r\n",
    "\r",
    "\n",
    "sep=;",
    "email",
    "E-Mail",
    "name",
    "a@b.example",
    "=1+1",
    "+",
    "-",
    "@",
    "\u{feff}",
    "\u{a0}",
    "\u{200b}",
    "＝",
    "'",
    "|",
    "\0",
];
/// Words of filters.
pub const FILTER_WORDS: &[&str] = &[
    "{\"and\":[",
    "{\"or\":[",
    "{\"not\":",
    "{\"All\":[",
    "{\"Any\":[",
    "{\"Not\":",
    "]}",
    "}",
    "[",
    "]",
    ",",
    "\"status\":[\"CLICKED\"]",
    "\"domain\":[\"'--\"]",
    "\"owner\":[\"$1\"]",
    "{\"Domain\":[\"x\"]}",
    "{\"Owner\":[\"?\"]}",
    "{\"Opened\":true}",
    "\"inCrm\":false",
    "\"sentBefore\":\"2026-01-01T00:00:00Z\"",
    "null",
    "\"search\":\"%_\\\\\"",
    "\"domains\":[",
    "\n",
    "ß",
    "İ",
];
/// Words of addresses.
pub const EMAIL_WORDS: &[&str] = &[
    "@",
    ".",
    "xn--",
    "\"",
    "\\",
    "+",
    "<",
    ">",
    "(",
    ")",
    "[",
    "]",
    "münchen",
    "İ",
    "ß",
    "\u{ad}",
    "。",
    "example.com",
    "resend.dev",
    " ",
];
/// Words of servers' answers.
pub const REPLY_WORDS: &[&str] =
    &["smtp;", "550", "452", "5.1.1", "4.2.2", "5.999.999", "-", " ", "#", "(", ")", "[", "]", ":", ".", "\n", "ſ"];

/// The fixtures of the connectors.
pub(crate) fn fixtures() -> PathBuf {
    repository().join("connectors/fixtures")
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files in a folder, in their order; none where there is no such folder.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

/// What lies in `seeds/{target}`: inputs that once showed something, or that no fixture holds.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    files(&folder).into_iter().map(|(_, bytes)| bytes).collect()
}

fn texts(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Requests of a provider: its fixtures whole and element by element, with headers of the right kind.
pub fn webhooks(provider: &str) -> Vec<Vec<u8>> {
    let mut seeds = kept(&format!("webhook_{provider}"));
    for (path, bytes) in files(&fixtures().join(provider)) {
        let is_json = path.extension().is_some_and(|end| end == "json");
        match serde_json::from_slice(&bytes) {
            Ok(Value::Array(elements)) if elements.len() > 2 => {
                seeds.extend(elements.iter().map(|element| json!([element])).map(|body| sent(provider, &body)));
            }
            Ok(Value::Object(body))
                if body.get("events").and_then(Value::as_array).is_some_and(|events| events.len() > 2) =>
            {
                let events = body["events"].as_array().expect("a list");
                seeds.extend(events.iter().map(|event| sent(provider, &json!({ "events": [event] }))));
            }
            Ok(body) if is_json => seeds.push(sent(provider, &body)),
            _ if is_json || path.extension().is_some_and(|end| end == "jsonl") => {
                seeds.push(with_headers("content-type: application/json", &bytes));
            }
            _ => {}
        }
    }
    if ["ses", "scaleway"].contains(&provider) {
        let envelopes = files(&fixtures().join("sns"))
            .into_iter()
            .filter(|(path, _)| path.extension().is_some_and(|end| end == "json"));
        seeds.extend(envelopes.map(|(_, bytes)| with_headers("content-type: text/plain", &bytes)));
    }
    seeds
}

fn with_headers(headers: &str, body: &[u8]) -> Vec<u8> {
    [headers.as_bytes(), b"\n\n", body].concat()
}

/// A body as the provider sends it.
fn sent(provider: &str, body: &Value) -> Vec<u8> {
    const JSON: &str = "content-type: application/json";
    let digits = "0123456789abcdef".repeat(4);
    let (headers, body) = match provider {
        "mandrill" => {
            let form = format!("mandrill_events={}", escaped(&body.to_string()));
            (
                "content-type: application/x-www-form-urlencoded\nx-mandrill-signature: MDEyMzQ1Njc4OTAxMjM0NTY3ODk="
                    .to_owned(),
                form,
            )
        }
        "ses" | "scaleway" if body.get("Type").is_none() => {
            let envelope = json!({
                "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-central-1:123456789012:mail",
                "Timestamp": "2026-01-01T00:00:00.000Z", "Message": body.to_string(), "SignatureVersion": "1", "Signature": "MDEy",
                "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/x.pem",
            });
            ("content-type: text/plain\nx-amz-sns-message-type: Notification".to_owned(), envelope.to_string())
        }
        "sendgrid" => {
            let header = "x-twilio-email-event-webhook";
            (format!("{JSON}\n{header}-timestamp: 1767225600\n{header}-signature: MAYCAQECAQE="), body.to_string())
        }
        "resend" => {
            (format!("{JSON}\nsvix-id: msg_1\nsvix-timestamp: 1767225600\nsvix-signature: v1,MDEy"), body.to_string())
        }
        "generic" => (
            format!("{JSON}\nx-nachfass-timestamp: 1767225600\nx-nachfass-signature: sha256={digits}"),
            body.to_string(),
        ),
        "mailersend" => (format!("{JSON}\nsignature: {digits}"), body.to_string()),
        "mailtrap" => (format!("{JSON}\nmailtrap-signature: {digits}"), body.to_string()),
        "postal" => (format!("{JSON}\nx-postal-signature: MDEy\nx-postal-signature-256: MDEy"), body.to_string()),
        _ => (format!("{JSON}\nauthorization: Bearer secret"), body.to_string()),
    };
    with_headers(&headers, body.as_bytes())
}

/// As a form has it.
fn escaped(text: &str) -> String {
    let escape =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escape).collect()
}

/// The operations of the client, one by one with the fragments.
fn operations() -> Vec<String> {
    let mut all = Vec::new();
    for (_, bytes) in files(&repository().join("tests/client/operations")) {
        let text = String::from_utf8(bytes).expect("UTF-8");
        all.extend(text.split_inclusive("\n}\n").map(str::trim).filter(|text| text.ends_with('}')).map(str::to_owned));
    }
    all
}

/// GraphQL documents.
pub fn documents() -> Vec<Vec<u8>> {
    let mut seeds = kept("graphql_text");
    seeds.extend(operations().into_iter().map(String::into_bytes));
    seeds.extend(texts(&[
        "{__typename}",
        "{node(id:[[[[\"x\"]]]]){id}}",
        "{...a}fragment a on Query{...b ...b}fragment b on Query{__typename}",
        "{a:__typename b:__typename @skip(if:false)}",
        "query($v:RecipientFilter={and:[{not:{opened:true}}]}){campaign(id:\"x\"){recipients(filter:$v){nodes{id}}}}",
        "{__schema{types{fields{args{type{ofType{ofType{name}}}}}}}}",
        "subscription{campaignStatistics(ids:[\"x\"]){sent}}",
    ]));
    seeds
}

/// Recipes for documents; see [`crate::graphql::nested`].
pub fn recipes() -> Vec<Vec<u8>> {
    let mut seeds = kept("graphql_nested");
    // Brackets in brackets, objects in objects, fields in fields, fragments of fragments.
    seeds.push(vec![9, 0, 10 | 7 << 5, 0]);
    seeds.push(vec![9, 0, 11 | 7 << 5, 0, 12, 3]);
    seeds.push(vec![2 | 6 << 5, 0, 1, 11]);
    seeds.push([vec![7, 0], (0..16).flat_map(|number| [8, number, 7, number + 1]).collect()].concat());
    seeds.push(vec![13 | 5 << 5, 1, 0, 10, 18, 0, 14 | 4 << 5, 0]);
    seeds
}

/// Bodies of `POST /graphql`.
pub fn requests() -> Vec<Vec<u8>> {
    let mut seeds = kept("graphql_request");
    for operation in operations().iter().filter(|operation| operation.len() < 1_500) {
        seeds.push(
            json!({ "query": operation, "variables": { "id": "x", "first": 10, "filter": {} } })
                .to_string()
                .into_bytes(),
        );
    }
    seeds.extend(texts(&[
        r#"[{"query":"{__typename}"},{"query":"{__typename}","operationName":null,"extensions":{"a":[[1]]}}]"#,
        r#"{"query":"query($v:ID!){node(id:$v){id}}","variables":{"v":[[[["x"]]]]}}"#,
    ]));
    seeds
}

/// Lists and cursors.
pub fn cursors() -> Vec<Vec<u8>> {
    let seal = |scope: &str, place: (Option<&str>, i64)| {
        format!("{scope}\n{}", KEY.seal(scope, &place).expect("sealed")).into_bytes()
    };
    let mut seeds = kept("cursor");
    seeds.extend([seal("recipients:1", (Some("erika@example.com"), 42)), seal("campaigns", (None, i64::MIN))]);
    seeds.extend(texts(&["recipients:1\nAAAAAAAAAAAAAAAAAAAAAA", "\n", "x\n=", "x"]));
    seeds
}

/// Global ids, and names of the audit log.
pub fn global_ids() -> Vec<Vec<u8>> {
    let mut seeds = kept("global_id");
    // "Campaign:1", "Recipient:1:2", "Job:-9223372036854775808", and some that are none.
    seeds.extend(texts(&[
        "Q2FtcGFpZ246MQ",
        "UmVjaXBpZW50OjE6Mg",
        "Sm9iOi05MjIzMzcyMDM2ODU0Nzc1ODA4",
        "Q2FtcGFpZ246KzE",
        "Q2FtcGFpZ246MQ==",
        "campaign:1",
        "follow_up:9223372036854775807",
    ]));
    seeds
}

/// Files of recipients.
pub fn csv() -> Vec<Vec<u8>> {
    let mut seeds = kept("import_csv");
    seeds.extend(files(&repository().join("service/fixtures/import")).into_iter().map(|(_, bytes)| bytes));
    seeds.extend(texts(&[
        "email;name\r\na@b.example;\"two\r\nlines\"\r\n",
        "sep=|\nE-Mail|Firma\na@b.example|\"x\"\"y\"\n",
        "\u{feff}email\tVorname\tNachname\n a@b.example\tErika\tMuster\nx\n",
        "email,name\ra@b.example,x\r",
        "email\n\"never closed\na@b.example\n",
    ]));
    seeds
}

/// JSON Lines of recipients.
pub fn json_lines() -> Vec<Vec<u8>> {
    let mut seeds = kept("import_jsonl");
    seeds.extend(texts(&[
        "{\"email\":\"a@b.example\",\"name\":\"Erika\",\"x\":[1,{\"y\":null}]}\n{\"email\":\"c@d.example\",\"messageId\":\"<1@x>\"}\n",
        "{\"mail\":1}\n\n[]\n{\"email\":null}\nnothing\n",
    ]));
    seeds
}

/// Filters.
pub fn filters() -> Vec<Vec<u8>> {
    let mut seeds = kept("filter");
    seeds.extend(texts(&[
        "müller\n{\"and\":[{\"status\":[\"CLICKED\",\"READ\"]},{\"not\":{\"domain\":[\"a.example\",\"' OR 1=1\"]}}],\"opened\":true}",
        "%_\\\n{\"or\":[{\"owner\":[\"x\"]},{\"sentBefore\":\"2026-01-01T00:00:00Z\"},{\"clickedLink\":[\"VHJhY2tlZExpbms6MQ\"]}]}",
        "x\n{\"skipReason\":[\"DUPLICATE\"],\"bounceClass\":[\"HARD\"],\"inCrm\":true,\"corrected\":false,\"simulator\":false}",
        "x\n{\"All\":[{\"Not\":{\"Any\":[{\"Status\":[\"CLICKED\"]},{\"Opened\":true}]}},{\"Domain\":[\"a\",\"b\"]},{\"ClickedLink\":[1,2]}]}",
        "x\n{\"All\":[{\"SentAfter\":\"2026-01-01T00:00:00Z\"},{\"Owner\":[\"x\"]},{\"SkipReason\":[\"BLOCKED\"]},{\"BounceClass\":[\"SOFT\"]}]}",
        "\n{\"health\":[\"OK\",\"BLOCKED\"],\"reasons\":[],\"domains\":[\"a.example\"],\"search\":\"x%\",\"consentWithdrawn\":true}",
    ]));
    seeds
}

/// Names and stored tokens.
pub fn sealed() -> Vec<Vec<u8>> {
    let tokens = Tokens::new(&[7; 32]);
    let mut seeds = kept("sealed_token");
    for (name, secret) in [("superoffice", "8A:Cust12345.secret"), ("", ""), ("refresh", "ü")] {
        seeds.push([name.as_bytes(), b"\n", &tokens.seal(name, secret)].concat());
    }
    seeds
}

/// Ids, ends and signatures of links.
pub fn links() -> Vec<Vec<u8>> {
    let links = Links::new(&[7; 32]);
    let mut seeds = kept("export_link");
    for (id, expires) in [("01JGFJJZ00", 1_767_225_600), ("", 0), ("0:x", i64::MIN)] {
        seeds.push(format!("{id}\n{expires}\n{}", links.sign(id, expires)).into_bytes());
    }
    seeds
}

/// Addresses.
pub fn emails() -> Vec<Vec<u8>> {
    let mut seeds = kept("email");
    seeds.extend(texts(&[
        "Erika.Muster@Example.DE",
        "JÖRG@MÜLLER.example",
        "\"a b\"@x.example",
        "x@xn--mller-kva.example",
        "a@[127.0.0.1]",
        "Erika <e@x.example>",
        "bounce@simulator.amazonses.com",
    ]));
    seeds
}

/// Answers of servers.
pub fn replies() -> Vec<Vec<u8>> {
    let mut seeds = kept("smtp_reply");
    seeds.extend(texts(&[
        "smtp; 550-5.1.1 no such user",
        "452 4.2.2 mailbox full",
        "host mx.example.com[10.5.1.1] said: 554 5.7.1 blocked",
        "Mailbox full (#5.2.2)",
    ]));
    seeds
}

/// Cells of exported files.
pub fn cells() -> Vec<Vec<u8>> {
    let mut seeds = kept("formula");
    seeds.extend(texts(&["=1+1", "\t=1", "  -1", "a;=1+1;b", "＝1", "'=1", "\"=1\"", "x\n=1"]));
    seeds
}

/// Times.
pub fn times() -> Vec<Vec<u8>> {
    let mut seeds = kept("time");
    seeds.extend(texts(&[
        "2026-01-31T09:30:00.123456Z",
        "2026-01-31T09:30:00+14:00",
        "1767225600.5",
        "-9223372036854775808",
        "9223372036854775807",
        "1e300",
    ]));
    seeds
}
