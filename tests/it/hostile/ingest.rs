//! Hostile input to /ingest.

use std::io::Write;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Body, Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Others;
use crate::harness::{Api, Posting, Site, Source, eventually};

in_mode!(bodies, Sqlite:
    bombs_of_strangers_take_little_memory,
    what_headers_show_is_refused_before_the_body_is_read,
    slow_strangers_hold_nobody_up,
    nested_bodies_end_no_process,
);
in_mode!(handshakes, Sqlite: published_keys_store_nothing, certificates_of_others_are_not_fetched);
in_mode!(batches, Sqlite: what_many_recipients_share_is_not_multiplied, a_body_of_too_many_events_is_kept_and_not_applied);

/// As large a body may become.
const LIMIT: usize = 10 << 20;

/// 10 MB of spaces as Brotli writes them, and 10 MB of `{"":0},`.
const BROTLI_SPACES: &str = "cbffff3ff82540e2b14020f7fe2fffff3ff04b00c4611180eefd07";
const BROTLI_OBJECTS: &str =
    "cbffff3ff88dd456794878284574b69a0566af4ffc160990bdff3b72f2ffff03bf24084c5789725800d0f6fe4303";

const SHOP: Source = Source::generic("shop").creating("campaigns");
const POSTMARK: Source = Source::postmark().creating("campaigns");
const MAILGUN: Source = Source::mailgun().creating("campaigns");

/// Sources whose signature stands in the body, and some whose does not.
const MORE: &str = "
[[sources]]
name = \"unisender\"
provider = \"unisender\"
secrets = [\"a secret of the tests\"]

[[sources]]
name = \"ses\"
provider = \"ses\"
basic_auth = [\"tests:ses\"]
topics = [\"arn:aws:sns:us-east-1:123456789012:ours\"]
insecure = true
create = \"campaigns\"

[[sources]]
name = \"sns\"
provider = \"ses\"
topics = [\"arn:aws:sns:us-east-1:123456789012:ours\"]

[[sources]]
name = \"mandrill\"
provider = \"mandrill\"
secrets = [\"a secret of the tests\"]

[[sources]]
name = \"mailersend\"
provider = \"mailersend\"
secrets = [\"a secret of the tests\"]

[[sources]]
name = \"resend\"
provider = \"resend\"
secrets = [\"whsec_YSBzZWNyZXQgb2YgdGhlIHRlc3Rz\"]
";

fn site(site: Site) -> Site {
    site.with(&[&SHOP, &POSTMARK, &MAILGUN]).with_more(MORE)
}

fn opened(id: &str) -> Value {
    json!({ "type": "opened", "id": id, "occurred_at": "2026-03-02T08:10:00Z", "campaign": "spring", "recipient": "ada@alpha.example" })
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("compressed");
    encoder.finish().expect("compressed")
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("compressed");
    encoder.finish().expect("compressed")
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

/// JSON that takes a hundred times its size as a tree.
fn objects(size: usize) -> Vec<u8> {
    let mut body = br#"{"x":["#.to_vec();
    while body.len() + 20 < size {
        body.extend_from_slice(br#"{"":0},"#);
    }
    body.extend_from_slice(b"0]}");
    body
}

async fn assert_nothing_stored(api: &Api) {
    let everything = api.ask("{ deliveries(first: 1) { nodes { id } } }", json!({})).await;
    assert_eq!(everything["deliveries"]["nodes"], json!([]), "nothing of strangers is kept");
}

/// A body with some headers, for a source.
#[derive(Clone)]
struct Bomb {
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Sent in chunks, without its length.
    chunked: bool,
}

impl Bomb {
    async fn send(self, client: Client, url: String) -> Option<(u16, Option<String>)> {
        let mut request = client.post(format!("{url}{}", self.path)).header(CONTENT_TYPE, "application/json");
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = if self.chunked {
            let chunks: Vec<_> = self.body.chunks(1_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
            request.body(Body::wrap_stream(futures::stream::iter(chunks)))
        } else {
            request.body(self.body)
        };
        // Where the program has refused and closed before all was sent, the client may see only that.
        let answer = request.send().await.ok()?;
        let retry_after = answer.headers().get(RETRY_AFTER).map(|value| value.to_str().expect("a text").to_owned());
        Some((answer.status().as_u16(), retry_after))
    }
}

/// Bodies of a few kilobytes that unpack to as much as is allowed, or more; for sources that prove themselves in their headers, in
/// the body, or not at all.
fn bombs() -> Vec<Bomb> {
    let spaces = vec![b' '; LIMIT];
    let objects = objects(LIMIT);
    let members = gzip(&vec![b' '; LIMIT / 64]).repeat(64);
    let beyond = gzip(&vec![b' '; 4 * LIMIT]);
    let form = [b"a=1&".repeat(LIMIT / 4 - 2), b"a=".to_vec()].concat();
    let packed = [
        ("gzip", gzip(&spaces)),
        ("gzip", gzip(&objects)),
        ("gzip", gzip(&form)),
        ("gzip", members),
        ("gzip", beyond),
        ("deflate", deflate(&objects)),
        ("br", bytes(BROTLI_SPACES)),
        ("br", bytes(BROTLI_OBJECTS)),
    ];
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs().to_string();
    let plausible = |path: &str| match path {
        // A signature as it might be: nothing but the body shows that it is not.
        "/ingest/shop" => vec![("x-nachfass-timestamp", now.clone()), ("x-nachfass-signature", "0".repeat(64))],
        "/ingest/mandrill" => vec![("x-mandrill-signature", STANDARD.encode([0; 20]))],
        "/ingest/mailersend" => vec![("signature", "0".repeat(64))],
        _ => Vec::new(),
    };
    let paths = [
        "/ingest/it-mailgun",
        "/ingest/it-mailgun",
        "/ingest/unisender",
        "/ingest/sns",
        "/ingest/mandrill",
        "/ingest/mailersend",
        "/ingest/shop",
        "/ingest/it-postmark",
    ];
    let mut bombs = Vec::new();
    for path in paths {
        for (number, (encoding, body)) in packed.iter().enumerate() {
            let mut headers = plausible(path);
            headers.push((CONTENT_ENCODING.as_str(), (*encoding).to_owned()));
            if number == 2 || path == "/ingest/mandrill" {
                headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
            }
            bombs.push(Bomb { path, headers, body: body.clone(), chunked: number % 2 == 1 });
        }
    }
    bombs
}

async fn bombs_of_strangers_take_little_memory(ground: Site) {
    let site = site(ground);
    let mut running = site.start().await;
    let api = site.client("admin");
    let others = Others::begin(&api);
    let client = Client::builder().no_proxy().build().expect("a client");
    let send_all = async {
        let sent = bombs().into_iter().map(|bomb| tokio::spawn(bomb.send(client.clone(), site.url())));
        futures::future::join_all(sent).await
    };
    let answers = send_all.await;
    let mut refused = 0;
    for (status, retry_after) in answers.into_iter().filter_map(|answer| answer.expect("sent")) {
        assert!(matches!(status, 400 | 401 | 413 | 503), "{status}");
        assert_eq!(status == 503, retry_after.is_some(), "who is to come again is told when");
        refused += 1;
    }
    assert!(refused > 50, "most were answered: {refused}");
    others.assert_alive_within(Duration::from_secs(3), &mut running).await;
    assert_nothing_stored(&api).await;

    // Everybody else is served as before.
    for (number, source) in [&SHOP, &SHOP, &SHOP].into_iter().enumerate() {
        api.report(source, &opened(&format!("e{number}"))).await;
    }
    api.applied().await;
}

async fn what_headers_show_is_refused_before_the_body_is_read(ground: Site) {
    let site = site(ground);
    let _running = site.start().await;
    let old = ("x-nachfass-timestamp", "1000000000");
    let signature = "0".repeat(64);
    let raw = ("x-amz-sns-rawdelivery", "true");
    let cases: [(&str, Vec<(&str, &str)>); 13] = [
        ("/ingest/it-postmark", vec![]),
        ("/ingest/it-postmark", vec![("authorization", "Basic bm9ib2R5Om5vYm9keQ==")]),
        ("/ingest/it-postmark", vec![("authorization", "Bearer x")]),
        ("/ingest/shop", vec![]),
        ("/ingest/shop", vec![("x-nachfass-signature", &signature)]),
        ("/ingest/shop", vec![old, ("x-nachfass-signature", &signature)]),
        ("/ingest/shop", vec![("x-nachfass-timestamp", "now"), ("x-nachfass-signature", "short")]),
        ("/ingest/mandrill", vec![("x-mandrill-signature", "")]),
        ("/ingest/mailersend", vec![("signature", "none")]),
        ("/ingest/resend", vec![("svix-id", "1"), ("svix-timestamp", "1"), ("svix-signature", "v1,")]),
        ("/ingest/ses", vec![raw]),
        ("/ingest/sns", vec![("x-amz-sns-topic-arn", "arn:aws:sns:us-east-1:999999999999:theirs")]),
        ("/crm/webhook", vec![]),
    ];
    for (path, headers) in cases {
        let address = site.url().replace("http://", "");
        let mut stream = TcpStream::connect(&address).await.expect("connected");
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 5000000\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        // Not a byte of the body follows.
        let mut answer = [0; 12];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await;
        read.unwrap_or_else(|_| panic!("{path} waits for the body: {headers}")).expect("an answer");
        let expected = if path == "/crm/webhook" { "HTTP/1.1 404" } else { "HTTP/1.1 401" };
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{path} {headers}");
    }
}

async fn slow_strangers_hold_nobody_up(ground: Site) {
    let site = site(ground);
    let mut running = site.start().await;
    let api = site.client("admin");
    let others = Others::begin(&api);
    let address = site.url().replace("http://", "");
    let mut strangers = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(&address).await.expect("connected");
        let length = if number % 2 == 0 { "content-length: 10000000" } else { "transfer-encoding: chunked" };
        let head = format!("POST /ingest/it-mailgun HTTP/1.1\r\nhost: {address}\r\n{length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(if number % 2 == 0 { b"{" } else { b"1\r\n{\r\n" }).await.expect("sent");
        strangers.push(stream);
    }
    // A batch of several megabytes needs much of what all bodies may hold together.
    let many: Vec<Value> = (0..15_000).map(|number| opened(&format!("e{number:05}-{}", "x".repeat(150)))).collect();
    for _ in 0..2 {
        api.report(&SHOP, &json!(many)).await;
        api.report(
            &MAILGUN,
            &json!({ "event": "opened", "id": "1", "timestamp": 1_772_439_000, "recipient": "a@alpha.example" }),
        )
        .await;
    }
    for stream in &mut strangers {
        stream.write_all(b"1\r\n \r\n").await.ok();
    }
    let health = api.bare(Method::GET, "/healthz").send().await.expect("an answer");
    assert_eq!(health.status(), 200);
    others.assert_served(&mut running).await;
}

async fn nested_bodies_end_no_process(ground: Site) {
    let site = site(ground);
    let mut running = site.start().await;
    let api = site.client("admin");
    let others = Others::begin(&api);
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [130, 3_000, 1_000_000] {
        let nested = deep(depth);
        let envelope = json!({
            "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:123456789012:ours",
            "Message": nested.clone(), "Timestamp": "2026-01-01T00:00:00Z",
        });
        let bodies = [
            nested.clone(),
            format!(r#"{{"signature":{nested},"event-data":{nested},"auth":{nested},"type":{nested}}}"#),
            format!("mandrill_events={nested}"),
            envelope.to_string(),
        ];
        for body in bodies {
            for path in ["it-mailgun", "unisender", "ses", "sns", "mandrill", "mailersend", "shop"] {
                let posting = Posting {
                    path: format!("/ingest/{path}"),
                    headers: vec![("authorization", format!("Basic {}", STANDARD.encode("tests:ses")))],
                    body: body.clone().into_bytes(),
                };
                let status = api.deliver(posting).await.expect("an answer").status();
                assert!(matches!(status.as_u16(), 400 | 401), "{path} at {depth}: {status}");
            }
        }
        // Signed, it is no better.
        let signed = SHOP.sign(&json!({ "type": "opened", "metadata": { "x": nested } }));
        assert_eq!(api.deliver(signed).await.expect("an answer").status(), 200, "a text is a text");
    }
    api.applied().await;
    others.assert_served(&mut running).await;
}

fn mandrill_signature(key: &str, url: &str, fields: &[(&str, &str)]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let text: String = sorted.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key.as_bytes()).expect("a key may have any length");
    mac.update(format!("{url}{text}").as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn hex_hmac(key: &str, text: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).expect("a key may have any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn published_keys_store_nothing(ground: Site) {
    const PUBLISHED: &str = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G";
    let site = site(ground);
    let mut running = site.start().await;
    let api = site.client("admin");
    let url = format!("{}/ingest/mandrill", site.url());
    let cargo = "cargo of a stranger ".repeat(1_000);
    let event = r#"[{"event":"send","_id":"1","msg":{"email":"ada@alpha.example"}}]"#;
    let forms: [(&[(&str, &str)], u16); 6] = [
        (&[("mandrill_events", "[]")], 200),
        (&[("mandrill_events", "[]"), ("a", &cargo)], 401),
        (&[("a", &cargo), ("mandrill_events", "[]")], 401),
        (&[("mandrill_events", "[]"), ("mandrill_events", event)], 401),
        (&[("mandrill_events", event)], 401),
        (&[("mandrill_events", "{}")], 401),
    ];
    for (fields, expected) in forms {
        let encode = |text: &str| text.replace(' ', "+").replace('[', "%5B").replace('"', "%22").replace('&', "%26");
        let urlencoded: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let part = |(name, value): &(&str, &str)| {
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let multipart = format!("{}--B--\r\n", fields.iter().map(part).collect::<String>());
        for (kind, body) in [
            ("application/x-www-form-urlencoded", urlencoded.join("&")),
            ("multipart/form-data; boundary=B", multipart),
        ] {
            let request = api.bare(Method::POST, "/ingest/mandrill").header(CONTENT_TYPE, kind).body(body);
            let request = request.header("x-mandrill-signature", mandrill_signature("test-webhook", &url, fields));
            assert_eq!(request.send().await.expect("an answer").status(), expected, "{kind} {fields:?}");
        }
    }
    for (body, expected) in [
        (r#"{"type":"webhook.test","message":"This is a ping"}"#.to_owned(), 200),
        (format!(r#"{{"type":"webhook.test","message":"{cargo}"}}"#), 401),
        (r#"{"type":"webhook.test","data":{"type":"sent","email":"ada@alpha.example"}}"#.to_owned(), 401),
        (r#"{"type":"activity.sent","data":{"type":"sent"}}"#.to_owned(), 401),
    ] {
        let posting = Posting {
            path: "/ingest/mailersend".to_owned(),
            headers: vec![("signature", hex_hmac(PUBLISHED, &body))],
            body: body.clone().into_bytes(),
        };
        assert_eq!(api.deliver(posting).await.expect("an answer").status(), expected, "{body}");
    }
    assert_nothing_stored(&api).await;
    let log = running.processes().map(|(_, part)| part.log()).collect::<String>();
    assert!(!log.contains("cargo of a stranger") && !log.contains("ada@alpha.example"), "{log}");
}

async fn certificates_of_others_are_not_fetched(ground: Site) {
    let site = site(ground);
    let mut running = site.start().await;
    let api = site.client("admin");
    let path = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";
    let topic = "arn:aws:sns:us-east-1:123456789012:ours";
    let theirs = "arn:aws:sns:us-east-1:999999999999:name-of-a-stranger";
    for (topic, url) in [
        (topic, format!("https://sns.s3.amazonaws.com/{path}")),
        (topic, format!("https://sns.s3-us-east-1.amazonaws.com/{path}")),
        (topic, format!("https://sns.eu-west-1.amazonaws.com/{path}")),
        (topic, format!("https://sns.us-east-1.amazonaws.com.cn/{path}")),
        (topic, format!("https://sns.us-east-1.amazonaws.com./{path}")),
        (topic, format!("https://sns.us-east-1.amazonaws.com:443/{path}")),
        (topic, format!("https://x@sns.us-east-1.amazonaws.com/{path}")),
        (topic, format!("https://SNS.us-east-1.amazonaws.com/{path}")),
        (topic, "https://sns.us-east-1.amazonaws.com/x.pem".to_owned()),
        (topic, "http://127.0.0.1:9/x.pem".to_owned()),
        (theirs, format!("https://sns.us-east-1.amazonaws.com/{path}")),
    ] {
        for kind in ["Notification", "SubscriptionConfirmation"] {
            let body = json!({
                "Type": kind, "MessageId": "m", "TopicArn": topic, "Message": "{}", "Timestamp": "2026-01-01T00:00:00Z",
                "Token": "t", "SubscribeURL": url, "SignatureVersion": "1", "Signature": "AAAA", "SigningCertURL": url,
            });
            let posting =
                Posting { path: "/ingest/sns".to_owned(), headers: Vec::new(), body: body.to_string().into_bytes() };
            let answer = api.deliver(posting).await.expect("an answer");
            assert_eq!(answer.status(), 401, "{topic} {url}: it would have been fetched");
        }
    }
    assert_nothing_stored(&api).await;
    let log = running.processes().map(|(_, part)| part.log()).collect::<String>();
    assert!(!log.contains("name-of-a-stranger"), "{log}");
}

fn notification(message: &Value) -> Posting {
    let envelope = json!({
        "Type": "Notification", "MessageId": "19ba9823-d7f2-53c1-860e-cb10e0d13dfc", "Message": message.to_string(),
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:ours", "Timestamp": "2026-03-02T08:10:00Z",
    });
    Posting {
        path: "/ingest/ses".to_owned(),
        headers: vec![("authorization", format!("Basic {}", STANDARD.encode("tests:ses")))],
        body: envelope.to_string().into_bytes(),
    }
}

/// A notification about many recipients, with tags and headers as large as it may have.
fn bounce(recipients: usize) -> Value {
    let tags: serde_json::Map<String, Value> =
        (0..400).map(|number| (format!("tag-{number}"), json!(["v".repeat(256)]))).collect();
    let metadata = json!({ "campaign": "spring", "more": "y".repeat(50_000) }).to_string();
    let names = (0..recipients).map(|number| json!({ "emailAddress": format!("r{number}@alpha.example") }));
    json!({
        "eventType": "Bounce",
        "mail": {
            "messageId": "one-for-all", "timestamp": "2026-03-02T08:09:00Z", "tags": tags,
            "headers": [{ "name": "X-Metadata", "value": metadata }, { "name": "X-Tag", "value": "t".repeat(500) }],
        },
        "bounce": {
            "bounceType": "Permanent", "timestamp": "2026-03-02T08:10:00Z", "bouncedRecipients": names.collect::<Vec<_>>(),
        },
    })
}

async fn what_many_recipients_share_is_not_multiplied(ground: Site) {
    let site = site(ground);
    let mut running = site.start().await;
    let api = site.client("admin");
    let others = Others::begin(&api);
    let posting = notification(&bounce(4_000));
    assert!(posting.body.len() < 400_000, "{}", posting.body.len());
    let began = Instant::now();
    assert_eq!(api.deliver(posting).await.expect("an answer").status(), 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // Several of them in one transaction, and the message id leads to all recipients of the first one.
    for name in ["Complaint", "Delivery", "DeliveryDelay"] {
        let mut again = bounce(4_000);
        let recipients = again["bounce"]["bouncedRecipients"].take();
        let (part, list) = match name {
            "Complaint" => ("complaint", "complainedRecipients"),
            "Delivery" => ("delivery", "recipients"),
            _ => ("deliveryDelay", "delayedRecipients"),
        };
        again["eventType"] = json!(name);
        again[part] = json!({ list: recipients, "timestamp": "2026-03-02T08:11:00Z" });
        assert_eq!(api.deliver(notification(&again)).await.expect("an answer").status(), 200);
    }
    api.applied().await;
    let campaign = api.find_campaign("spring").await.expect("the campaign");
    let query = "query($id: ID!) { campaign(id: $id) { statistics { recipients } } }";
    let data = api.ask(query, json!({ "id": campaign })).await;
    assert_eq!(data["campaign"]["statistics"]["recipients"], 4_000, "{data}");
    others.assert_alive_within(Duration::from_secs(3), &mut running).await;
    site.assert_counted_right();
}

async fn a_body_of_too_many_events_is_kept_and_not_applied(ground: Site) {
    let site = site(ground);
    let mut running = site.start().await;
    let api = site.client("admin");
    let others = Others::begin(&api);
    let refused = api.deliver(notification(&bounce(20_001))).await.expect("an answer");
    assert_eq!(refused.status(), 400);
    let said: Value = refused.json().await.expect("JSON");
    assert!(said["error"]["message"].as_str().expect("a text").contains("exceeds the limits of a delivery"), "{said}");

    let empty = vec![json!({ "type": "opened" }); 20_001];
    let refused = api.deliver(SHOP.sign(&json!(empty))).await.expect("an answer");
    assert_eq!(refused.status(), 400);

    let heavy = json!({ "type": "opened", "recipient": "ada@alpha.example", "campaign": "spring", "x": vec![json!({ "": 0 }); 50_000] });
    api.report(&SHOP, &json!([opened("1"), heavy, opened("2")])).await;
    api.applied().await;
    let query = "query($state: DeliveryState) { deliveries(state: $state, first: 9) { nodes { source newEvents failures error } } }";
    let unreadable = api.ask(query, json!({ "state": "UNREADABLE" })).await;
    let unreadable = unreadable["deliveries"]["nodes"].as_array().expect("a list").clone();
    assert_eq!(unreadable.len(), 2, "kept, to be looked at and replayed");
    assert!(
        unreadable
            .iter()
            .all(|it| it["error"].as_str().expect("a reason").contains("exceeds the limits of a delivery")),
        "{unreadable:?}"
    );
    let partly = api.ask(query, json!({ "state": "PARTLY_APPLIED" })).await;
    let partly = partly["deliveries"]["nodes"][0].clone();
    assert_eq!((&partly["newEvents"], &partly["failures"]), (&json!(2), &json!(1)), "{partly}");
    assert!(partly["error"].as_str().expect("a reason").contains("16 MB"), "{partly}");

    // A replay is within the same limits.
    site.run(["ingest", "replay", "--failed"]);
    eventually("it is replayed", async || {
        let data = api.ask(query, json!({ "state": "UNREADABLE" })).await;
        (data["deliveries"]["nodes"].as_array().expect("a list").len() == 2).then_some(())
    })
    .await;
    others.assert_served(&mut running).await;
}
