//! What is sent: recipients as a CSV file, their events as SendGrid posts them, and single ones as Mailgun does.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use sha2::Sha256;

use crate::http::Request;

/// Mailgun's secret. It protects a database that lives as long as the measurement.
const MAILGUN_SECRET: &str = "for-the-benchmark-only";
/// The URL of the batches.
const SENDGRID_PATH: &str = "/ingest/bench-sendgrid";
/// The URL of the single events.
const MAILGUN_PATH: &str = "/ingest/bench-mailgun";
/// Events in a batch.
const BATCH: usize = 1_000;
/// Links in a mail.
const LINKS: u32 = 12;

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a benchmark takes the time as it is: signatures and events are of now")]
pub fn now() -> anyhow::Result<u64> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())
}

/// The keys of the sources.
pub struct Keys(SigningKey);

impl Keys {
    /// Always the same ones.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(SigningKey::from_slice(&[7; 32]).context("a fixed key")?))
    }

    /// The sources, for `nachfass.toml`.
    pub fn sources(&self) -> anyhow::Result<String> {
        let public = STANDARD.encode(self.0.verifying_key().to_public_key_der().context("the public key")?);
        Ok(format!(
            "[[sources]]\nname = \"bench-sendgrid\"\nprovider = \"sendgrid\"\nsecrets = [\"{public}\"]\n\
             [[sources]]\nname = \"bench-mailgun\"\nprovider = \"mailgun\"\nsecrets = [\"{MAILGUN_SECRET}\"]\n"
        ))
    }

    fn batch(&self, body: &str, at: u64) -> Request {
        let timestamp = at.to_string();
        let signature: DerSignature = self.0.sign(&[timestamp.as_bytes(), body.as_bytes()].concat());
        let signature = STANDARD.encode(signature.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("x-twilio-email-event-webhook-signature", signature.as_str()),
            ("x-twilio-email-event-webhook-timestamp", timestamp.as_str()),
        ];
        Request::post(SENDGRID_PATH, &headers, body.as_bytes())
    }
}

/// Writes the recipients of a campaign.
pub fn write_recipients(path: &Path, campaign: &str, recipients: u32) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    writeln!(file, "email,name,company,recipient id")?;
    for number in 0..recipients {
        writeln!(
            file,
            "{},Erika Mustermann {number},Muster {} GmbH,{campaign}-{number}",
            email(number),
            number % 5_000
        )?;
    }
    Ok(file.flush()?)
}

fn email(number: u32) -> String {
    format!("erika.mustermann.{number}@company{}.example", number % 997)
}

/// Four events for each recipient on average, in batches of 1,000, signed: all are processed and delivered; then half
/// of them open the mail twice and click, the others open it once; a fifth of the opens is a proxy's.
pub fn batches(keys: &Keys, campaign: &str, recipients: u32) -> anyhow::Result<Vec<Request>> {
    let at = now()?;
    let start = at - Duration::from_hours(24).as_secs();
    let mut events = Vec::new();
    for number in 0..recipients {
        events.push((number, "processed", u64::from(number % 600)));
        events.push((number, "delivered", u64::from(number % 600) + 5));
    }
    for number in 0..recipients {
        events.push((number, "open", 1_000 + u64::from(number % 30_000)));
        if number.is_multiple_of(2) {
            events.push((number, "open", 2_000 + u64::from(number % 50_000)));
            events.push((number, "click", 2_060 + u64::from(number % 50_000)));
        }
    }
    let mut requests = Vec::new();
    let mut serial = 0_u32;
    for chunk in events.chunks(BATCH) {
        let mut body = "[".to_owned();
        for (number, kind, offset) in chunk {
            if body.len() > 1 {
                body.push(',');
            }
            push_event(&mut body, campaign, *number, kind, start + offset, serial)?;
            serial += 1;
        }
        body.push(']');
        requests.push(keys.batch(&body, at));
    }
    Ok(requests)
}

fn push_event(body: &mut String, campaign: &str, number: u32, kind: &str, at: u64, serial: u32) -> anyhow::Result<()> {
    write!(
        body,
        "{{\"email\":\"{}\",\"timestamp\":{at},\"event\":\"{kind}\",\"sg_event_id\":\"{campaign}-{serial:014}\",\
         \"sg_message_id\":\"{campaign}{number:016}.recvd-5f7b8c-2-1.0\",\"smtp-id\":\"<{number}@ismtpd0001.example>\",\
         \"category\":[\"newsletter\"],\"nachfass_campaign\":\"{campaign}\",\
         \"nachfass_recipient\":\"{campaign}-{number}\"",
        email(number)
    )?;
    let agent =
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36";
    let proxy = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
    match kind {
        "delivered" => body.push_str(",\"response\":\"250 2.0.0 OK 1700000000 queued\",\"tls\":1"),
        "open" => {
            let agent = if number.is_multiple_of(5) { proxy } else { agent };
            write!(body, ",\"ip\":\"203.0.113.7\",\"useragent\":\"{agent}\"")?;
        }
        "click" => {
            let link = serial % LINKS;
            write!(
                body,
                ",\"useragent\":\"{agent}\",\"url\":\"https://shop.example/article/{link}?utm_source=newsletter\""
            )?;
        }
        _ => {}
    }
    body.push('}');
    Ok(())
}

/// One event a request, signed: so many of the recipients have opened their mail.
pub fn singles(campaign: &str, recipients: u32, count: u32) -> anyhow::Result<Vec<Request>> {
    let at = now()?;
    (0..count).map(|serial| single(campaign, serial % recipients, serial, at)).collect()
}

fn single(campaign: &str, number: u32, serial: u32, at: u64) -> anyhow::Result<Request> {
    let token = format!("{campaign}{serial:040}");
    let mut mac = Hmac::<Sha256>::new_from_slice(MAILGUN_SECRET.as_bytes())?;
    mac.update(format!("{at}{token}").as_bytes());
    let mut signature = String::new();
    for byte in mac.finalize().into_bytes() {
        write!(signature, "{byte:02x}")?;
    }
    let body = format!(
        "{{\"signature\":{{\"timestamp\":\"{at}\",\"token\":\"{token}\",\"signature\":\"{signature}\"}},\
         \"event-data\":{{\"event\":\"opened\",\"id\":\"{campaign}-s{serial:012}\",\"timestamp\":{at}.5,\
         \"log-level\":\"info\",\"recipient\":\"{email}\",\"recipient-domain\":\"company.example\",\
         \"message\":{{\"headers\":{{\"message-id\":\"{campaign}{number:016}\"}}}},\"ip\":\"203.0.113.7\",\
         \"geolocation\":{{\"country\":\"DE\",\"region\":\"BE\",\"city\":\"Berlin\"}},\
         \"client-info\":{{\"client-os\":\"Linux\",\"device-type\":\"desktop\",\"client-name\":\"Chrome\",\"bot\":\"\",\
         \"user-agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.31 Chrome/126.0 Safari/537.31\"}},\
         \"tags\":[\"newsletter\"],\"campaigns\":[],\
         \"user-variables\":{{\"nachfass_campaign\":\"{campaign}\",\
         \"nachfass_recipient\":\"{campaign}-{number}\"}}}}}}",
        email = email(number)
    );
    Ok(Request::post(MAILGUN_PATH, &[("content-type", "application/json")], body.as_bytes()))
}
