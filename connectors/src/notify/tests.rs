//! Both channels against servers on this machine.

use std::sync::Arc;
use std::time::Duration;

use domain::alerts::{Alert, AlertKind};
use domain::notify::{AlertNotice, AlertNotifier, Channel, NotifyError};
use domain::{Clock, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{MailSettings, MailSettingsError, Notifier, NotifierSettings, WebhookSettings};

/// The clock of these tests: 2026-01-01T00:00:00Z.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_767_225_600)
    }
}

fn notice() -> AlertNotice {
    AlertNotice {
        id: 17,
        alert: Alert { kind: AlertKind::BounceRate, value: 0.0625, limit: 0.05 },
        raised_at: Timestamp::from_seconds(1_767_225_000),
        resolved_at: None,
        campaign_key: "spring".to_owned(),
        campaign_name: "Frühling 2026".to_owned(),
    }
}

fn notifier(webhook: Option<&str>, smtp: Option<&str>) -> Notifier {
    // Even plain HTTP wants to know how to encrypt. Whoever came first has settled it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let webhook = webhook.map(|url| WebhookSettings { url: url.parse().expect("a URL"), secret: "secret".to_owned() });
    let mail = smtp.map(|url| MailSettings {
        smtp_url: url.parse().expect("a URL"),
        from: "nachfass <nachfass@example.com>".to_owned(),
        to: vec!["ada@example.com".to_owned(), "bob@example.com".to_owned()],
    });
    let settings = NotifierSettings { webhook, mail, public_url: "https://n.example.com".to_owned() };
    Notifier::with_timeout(settings, Arc::new(Still), Duration::from_millis(500)).expect("a notifier")
}

/// A request as it came: the head in lower case, and the body.
struct Request {
    head: String,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} in {}", self.head)).1
    }
}

async fn read(stream: &mut TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).await.expect("a line");
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    reader.read_exact(&mut body).await.expect("a body");
    Request { head, body: String::from_utf8(body).expect("UTF-8") }
}

/// Answers one request after the other with these lines; nothing for an empty one. The requests, in the end.
async fn server(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook?token=hush", listener.local_addr().expect("an address"));
    let serve = async move {
        let (mut requests, mut open) = (Vec::new(), Vec::new());
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            requests.push(read(&mut stream).await);
            if !answer.is_empty() {
                let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(text.as_bytes()).await.expect("written");
            }
            open.push(stream);
        }
        requests
    };
    (url, tokio::spawn(serve))
}

#[tokio::test]
async fn a_webhook_is_signed_and_told_again_recognisably() {
    let (url, server) = server(&["500 Away", "", "204 No Content"]).await;
    let notifier = notifier(Some(&url), None);
    assert_eq!(notifier.channels(), [Channel::Webhook]);
    for reason in ["status 500", "timed out"] {
        match notifier.notify(Channel::Webhook, &notice()).await {
            Err(NotifyError::Unavailable(error)) => {
                let text = format!("{error:?}").to_lowercase() + &error.to_string();
                assert!(text.replace("timedout", "timed out").contains(reason), "{text}");
                assert!(!text.contains("hush"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    notifier.notify(Channel::Webhook, &notice()).await.expect("told");
    let requests = server.await.expect("the requests");
    for request in &requests {
        assert!(request.head.starts_with("post /hook?token=hush "), "{}", request.head);
        assert_eq!(request.header("idempotency-key"), "nachfass-alert-17");
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("x-nachfass-timestamp"), "1767225600");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"secret").expect("a key");
        mac.update(format!("1767225600.{}", request.body).as_bytes());
        let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(request.header("x-nachfass-signature"), format!("sha256={digits}"));
    }
    let mut body: Value = serde_json::from_str(&requests[2].body).expect("JSON");
    let message = body["message"].take();
    assert!(message.as_str().expect("a text").starts_with("6.2 % of the mails bounced"), "{message}");
    assert_eq!(
        body,
        json!({
            "id": 17, "kind": "BOUNCE_RATE", "campaign": { "key": "spring", "name": "Frühling 2026" }, "value": 0.0625,
            "limit": 0.05, "message": null, "raisedAt": notice().raised_at, "resolvedAt": null, "url": "https://n.example.com",
        })
    );
}

#[tokio::test]
async fn what_a_webhook_refuses_is_not_sent_again_nor_elsewhere() {
    let (url, server) = server(&["404 Not Found", "307 Elsewhere\r\nlocation: http://127.0.0.1:1/"]).await;
    let notifier = notifier(Some(&url), None);
    for status in ["404", "307"] {
        match notifier.notify(Channel::Webhook, &notice()).await {
            Err(NotifyError::Refused(reason)) => {
                assert!(reason.contains(status) && !reason.contains("hush"), "{reason}")
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.await.expect("the requests").len(), 2);
    let unset = notifier.notify(Channel::Mail, &notice()).await;
    assert!(matches!(unset, Err(NotifyError::Refused(_))), "{unset:?}");
}

/// A mail server that answers RCPT with these codes, one for each mail, and keeps the mails that it takes.
async fn mail_server(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("smtp://{}", listener.local_addr().expect("an address"));
    let serve = async move {
        let mut mails = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 mail.example.com\r\n").await.expect("written");
            let (mut line, mut mail, mut is_data) = (String::new(), String::new(), false);
            while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
                let word = line.get(..4).unwrap_or_default().to_uppercase();
                let reply = match (is_data, word.trim()) {
                    (true, _) if line == ".\r\n" => {
                        is_data = false;
                        mails.push(std::mem::take(&mut mail));
                        "250 taken"
                    }
                    (true, _) => {
                        mail.push_str(&line);
                        ""
                    }
                    (_, "RCPT") => answer,
                    (_, "DATA") => {
                        is_data = true;
                        "354 go on"
                    }
                    (_, "QUIT") => "221 bye",
                    _ => "250 fine",
                };
                line.clear();
                if !reply.is_empty() && stream.write_all(format!("{reply}\r\n").as_bytes()).await.is_err() {
                    break;
                }
            }
        }
        mails
    };
    (url, tokio::spawn(serve))
}

#[tokio::test]
async fn a_mail_is_plain_recognisable_and_of_no_person() {
    let (url, server) =
        mail_server(&["250 fine", "451 ada@example.com later", "250 fine", "550 no ada@example.com"]).await;
    let notifier = notifier(None, Some(&url));
    assert_eq!(notifier.channels(), [Channel::Mail]);
    notifier.notify(Channel::Mail, &notice()).await.expect("sent");
    match notifier.notify(Channel::Mail, &notice()).await {
        Err(NotifyError::Unavailable(error)) => assert!(error.to_string().ends_with("the code 451"), "{error}"),
        other => panic!("{other:?}"),
    }
    notifier.notify(Channel::Mail, &notice()).await.expect("sent");
    match notifier.notify(Channel::Mail, &notice()).await {
        Err(NotifyError::Refused(reason)) => assert!(reason.ends_with("the code 550"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let mails = server.await.expect("the mails");
    assert_eq!(mails.len(), 2);
    for mail in &mails {
        for line in [
            "Message-ID: <alert.17.1767225000000000@n.example.com>",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(mail.contains(&format!("{line}\r\n")), "{line} in {mail}");
        }
        assert!(
            mail.contains("From: ") && mail.contains("ada@example.com") && mail.contains("bob@example.com"),
            "{mail}"
        );
        assert!(mail.contains("BOUNCE_RATE") && mail.contains("https://n.example.com"), "{mail}");
    }
}

#[test]
fn passwords_do_not_travel_in_the_clear() {
    let settings = |url: &str, from: &str, to: &str| MailSettings {
        smtp_url: url.parse().expect("a URL"),
        from: from.to_owned(),
        to: vec![to.to_owned()],
    };
    let (from, to) = ("nachfass <n@example.com>", "ada@example.com");
    for url in ["smtps://u:p@mail.example.com", "smtp://u:p@mail.example.com:25", "smtp://127.0.0.1:2525"] {
        assert_eq!(settings(url, from, to).check(), Ok(()), "{url}");
    }
    assert_eq!(settings("https://mail.example.com", from, to).check(), Err(MailSettingsError::Server));
    assert_eq!(settings("smtp://localhost", "nobody", to).check(), Err(MailSettingsError::From));
    assert_eq!(settings("smtp://localhost", from, "ada@").check(), Err(MailSettingsError::To(0)));
    // Without `tls` in its URL the library would do without.
    let transport =
        settings("smtp://u:p@mail.example.com", from, to).transport(Duration::from_secs(1)).expect("a transport");
    assert!(format!("{transport:?}").contains("Required"), "{transport:?}");
    let transport = settings("smtp://127.0.0.1", from, to).transport(Duration::from_secs(1)).expect("a transport");
    assert!(!format!("{transport:?}").contains("Required"), "{transport:?}");
}
