//! The bodies of providers' webhooks: verifying, recognising handshakes, reading.
//!
//! An input looks like a request: headers, an empty line, the body. It is read whether or not its signature fits, since a fuzzer
//! makes no signatures; so this sees more than the program ever would.

use std::fs;
use std::sync::LazyLock;

use connectors::providers::{self, Request};
use connectors::sources::{default_campaign_keys, default_recipient_keys};
use domain::{Provider, Timestamp};

use crate::input::{hash, line, split, text};
use crate::seeds::fixtures;

/// When the requests are received: 2026-01-01T00:00:00Z, as in the tests.
const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// Verifying with a public key takes a hundred times as long as everything else: it is done with one input of so many.
const VERIFIED: u64 = 32;

static URLS: LazyLock<Vec<String>> = LazyLock::new(|| {
    ["https://user:password@mail.example/ingest/news", "https://mail.example/ingest/news"].map(str::to_owned).to_vec()
});
static CAMPAIGN_KEYS: LazyLock<Vec<String>> = LazyLock::new(default_campaign_keys);
static RECIPIENT_KEYS: LazyLock<Vec<String>> = LazyLock::new(default_recipient_keys);
static CERTIFICATE: LazyLock<Vec<u8>> = LazyLock::new(|| fixture("sns/certificate.pem"));

/// Secrets that can be used with the provider.
static SECRETS: LazyLock<Secrets> = LazyLock::new(|| {
    let postal: serde_json::Value = serde_json::from_slice(&fixture("postal/signatures.json")).expect("JSON");
    Secrets {
        plain: vec!["secret".to_owned(), String::new(), "test-webhook".to_owned()],
        base64: vec!["whsec_c2VjcmV0".to_owned(), "no base64".to_owned()],
        p256: vec![
            // The base point of the curve.
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54W\
             K84zV2sxXs7LtkBoN79R9Q=="
                .to_owned(),
        ],
        rsa: vec![postal["key_1024"].as_str().expect("a key").to_owned()],
        sns: vec![text(&fixture("sns/public-key.pem"))],
    }
});

struct Secrets {
    plain: Vec<String>,
    base64: Vec<String>,
    p256: Vec<String>,
    rsa: Vec<String>,
    sns: Vec<String>,
}

fn fixture(path: &str) -> Vec<u8> {
    fs::read(fixtures().join(path)).expect("a fixture")
}

impl Secrets {
    /// Those for a provider, and whether they are public keys.
    fn of(&self, provider: Provider) -> (&[String], bool) {
        match provider {
            Provider::Sendgrid => (&self.p256, true),
            Provider::Postal => (&self.rsa, true),
            Provider::Ses | Provider::Scaleway => (&self.sns, true),
            Provider::Resend => (&self.base64, false),
            _ => (&self.plain, false),
        }
    }
}

/// Headers and body.
fn parsed(data: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let (mut head, body) = split(data, b"\n\n");
    let mut headers = Vec::new();
    while !head.is_empty() {
        let (header, rest) = line(head);
        let (name, value) = header.split_once(':').unwrap_or((&header, ""));
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        head = rest;
    }
    (headers, body)
}

fn run(provider: Provider, data: &[u8]) {
    let (headers, body) = parsed(data);
    let adapter = providers::webhook(provider);
    let mut request = Request {
        headers: &headers,
        body,
        urls: &URLS,
        received_at: NOW,
        campaign_keys: &CAMPAIGN_KEYS,
        recipient_keys: &RECIPIENT_KEYS,
        certificate: None,
    };
    let url = adapter.certificate_url(&request);
    if let Ok(Some(url)) = &url {
        assert!(url.starts_with("https://"), "a certificate is fetched from {url}");
    }
    let (secrets, are_keys) = SECRETS.of(provider);
    if !are_keys || hash(data).is_multiple_of(VERIFIED) {
        adapter.verify(&request, secrets, NOW).ok();
        if matches!(url, Ok(Some(_))) {
            request.certificate = Some(&CERTIFICATE);
            adapter.verify(&request, &[], NOW).ok();
        }
    }
    adapter.replay_key(&request);
    adapter.handshake(&request).ok();
    if let Ok(reading) = adapter.read(&request) {
        for event in &reading.events {
            serde_json::to_writer(std::io::sink(), event).expect("an event can be stored");
        }
    }
}

macro_rules! targets {
    ($($name:ident: $provider:ident),* $(,)?) => {
        $(
            #[doc = concat!("Requests of ", stringify!($provider), ".")]
            pub fn $name(data: &[u8]) {
                run(Provider::$provider, data);
            }
        )*

        /// The providers that have a target: a test compares them with all there are.
        pub const COVERED: &[Provider] = &[$(Provider::$provider),*];
    };
}

targets! {
    brevo: Brevo,
    generic: Generic,
    mailersend: Mailersend,
    mailgun: Mailgun,
    mailjet: Mailjet,
    mailtrap: Mailtrap,
    mandrill: Mandrill,
    postal: Postal,
    postmark: Postmark,
    resend: Resend,
    scaleway: Scaleway,
    sendgrid: Sendgrid,
    ses: Ses,
    sparkpost: Sparkpost,
    unisender: Unisender,
}
