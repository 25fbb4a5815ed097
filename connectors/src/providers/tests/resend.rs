use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use domain::reading::ReadError;
use domain::{EventKind, Provider};
use serde_json::json;

use super::{Sample, assert_fixtures, assert_foreign, assert_verdicts, fixture};
use crate::providers::signature::hmac_sha256;
use crate::providers::{Rejection, Webhook, resend::Resend};

const NOW: i64 = 1_767_225_600;
const ID: &str = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
const BODY: &[u8] = br#"{"type":"email.sent","created_at":"2026-01-01T00:00:00Z","data":{}}"#;
const INVALID: Result<(), Rejection> = Err(Rejection::Invalid);

/// A secret as Resend shows it, made of any bytes.
fn secret(key: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(key))
}

fn signature(key: &[u8], signed_at: i64) -> String {
    let signed = format!("{ID}.{signed_at}.");
    format!("v1,{}", STANDARD.encode(hmac_sha256(key, &[signed.as_bytes(), BODY])))
}

fn request(signed_at: i64, signature: &str) -> Sample {
    let sample = Sample::json(BODY).header("svix-id", ID).header("svix-timestamp", &signed_at.to_string());
    sample.header("svix-signature", signature)
}

#[test]
fn only_the_holder_of_the_key_is_believed_and_only_for_five_minutes() {
    let (key, other) = (secret(b"the key"), secret(b"another key"));
    let unpadded = format!("whsec_{}", STANDARD_NO_PAD.encode(b"the key"));
    let signed = |at| request(at, &signature(b"the key", at));
    let forged = signature(b"forged", NOW);
    let rotating = format!("v1a,AAAA v2,{} {forged} {}", "A".repeat(44), signature(b"the key", NOW));
    let mut altered = signed(NOW);
    altered.body.push(b' ');
    let stale = Err(Rejection::Stale { window_seconds: 300 });
    let unusable = Err(Rejection::Secret("it is not base64".into()));
    assert_verdicts(
        &Resend,
        &[
            ("good", signed(NOW), &[&key], Ok(())),
            ("secret without padding", signed(NOW), &[&unpadded], Ok(())),
            ("rotation of our keys", signed(NOW), &[&other, &key], Ok(())),
            ("rotation of theirs", request(NOW, &rotating), &[&key], Ok(())),
            ("beside an unusable secret", signed(NOW), &["whsec_!", &key], Ok(())),
            ("just in time", signed(NOW - 300), &[&key], Ok(())),
            ("stale", signed(NOW - 301), &[&key], stale.clone()),
            ("from the future", signed(NOW + 301), &[&key], stale),
            ("moved to now", request(NOW, &signature(b"the key", NOW - 900)), &[&key], INVALID),
            ("forged", request(NOW, &forged), &[&key], INVALID),
            ("body altered", altered, &[&key], INVALID),
            ("wrong key", signed(NOW), &[&other], INVALID),
            ("another version only", request(NOW, &signature(b"the key", NOW).replace("v1,", "v2,")), &[&key], INVALID),
            ("empty signature", request(NOW, "v1,"), &[&key], INVALID),
            ("signed with nothing", request(NOW, &signature(b"", NOW)), &["whsec_"], unusable.clone()),
            ("unusable secret", signed(NOW), &["whsec_!"], unusable),
            ("no secret", signed(NOW), &[], INVALID),
        ],
    );
}

#[test]
fn the_names_of_standard_webhooks_serve_as_well_but_not_mixed() {
    let signature = signature(b"the key", NOW);
    let standard = Sample::json(BODY).header("webhook-id", ID).header("webhook-timestamp", &NOW.to_string());
    let standard = standard.header("webhook-signature", &signature);
    let mut mixed = request(NOW, &signature);
    mixed.headers.retain(|(name, _)| name != "svix-id");
    let key = secret(b"the key");
    let missing = Err(Rejection::Missing("svix-id, svix-timestamp and svix-signature belong together"));
    assert_verdicts(
        &Resend,
        &[
            ("standard", standard, &[&key], Ok(())),
            ("mixed", mixed.header("webhook-id", ID), &[&key], missing.clone()),
            ("none", Sample::json(BODY), &[&key], missing),
        ],
    );
}

#[test]
fn every_event_is_read() {
    let base = json!({
        "message_id": "56761188-7520-42d8-8898-ff6fc54ce618", "recipient": "ada@example.com",
        "occurred_at": "2026-01-01T09:30:00.126Z", "campaign": "spring",
        "metadata": {"nachfass_campaign": "spring", "category": "confirm_email"},
    });
    let suppressed =
        "Resend has suppressed sending to this address because it is on the account-level suppression list.";
    let full = "The recipient's email provider sent a bounce message because the recipient's inbox was full.";
    let cases = [
        ("scheduled", json!({"kind": "QUEUED"})),
        ("sent", json!({"kind": "SENT"})),
        ("delivered", json!({"kind": "DELIVERED"})),
        ("delivery_delayed", json!({"kind": "DEFERRED", "bounce_class": "SOFT"})),
        ("delivered_delayed", json!({"kind": "DEFERRED", "bounce_class": "SOFT"})),
        ("complained", json!({"kind": "COMPLAINED"})),
        ("opened", json!({"kind": "OPENED"})),
        ("clicked", json!({"kind": "CLICKED", "url": "https://acme.example/offer", "machine": true})),
        (
            "bounced_permanent",
            json!({"kind": "HARD_BOUNCE", "bounce_class": "HARD", "smtp_code": 550, "enhanced_code": "5.1.1",
                   "diagnostic": "smtp; 550 5.1.1 no such user"}),
        ),
        ("bounced_transient", json!({"kind": "SOFT_BOUNCE", "bounce_class": "MAILBOX_FULL", "diagnostic": full})),
        ("bounced_suppressed", json!({"kind": "BLOCKED", "bounce_class": "BLOCK", "diagnostic": suppressed})),
        (
            "bounced_undetermined",
            json!({"kind": "SOFT_BOUNCE", "bounce_class": "UNKNOWN",
                   "diagnostic": "The recipient's email provider sent a bounce message."}),
        ),
        (
            "bounced_sentence",
            json!({"kind": "HARD_BOUNCE", "bounce_class": "HARD",
                   "diagnostic": "The recipient's email provider sent a hard bounce message."}),
        ),
        ("failed", json!({"kind": "FAILED", "diagnostic": "reached_daily_quota"})),
        (
            "suppressed",
            json!({"kind": "BLOCKED", "bounce_class": "BLOCK",
                   "diagnostic": "The address is on the suppression list."}),
        ),
        ("contact_updated", json!({"kind": "OTHER", "message_id": null, "campaign": null, "metadata": {}})),
    ];
    assert_fixtures(&Resend, "resend", &base, &cases);
}

#[test]
fn sentences_tell_older_bounces_apart() {
    let kind = |sentence: &str| {
        let body = json!({"type": "email.bounced", "data": {"bounce": {"message": sentence}}});
        Sample::json(body.to_string()).event(&Resend).kind
    };
    assert_eq!(kind("sent a hard bounce message"), EventKind::HardBounce);
    assert_eq!(kind("sent a general bounce message"), EventKind::SoftBounce);
    assert_eq!(kind("because the recipient's inbox was full"), EventKind::SoftBounce);
    assert_eq!(kind("Resend has suppressed sending to this address"), EventKind::Blocked);
}

#[test]
fn the_id_in_the_headers_is_the_events_and_is_kept() {
    assert_eq!(Resend.kept_headers(), ["svix-id", "webhook-id"]);
    for name in Resend.kept_headers() {
        assert_eq!(Sample::json(fixture("resend/sent.json")).header(name, ID).event(&Resend).event_id, ID);
    }
}

#[test]
fn of_several_recipients_none_is_guessed() {
    let recipient = |data: serde_json::Value| {
        Sample::json(json!({"type": "email.opened", "data": data}).to_string()).event(&Resend).recipient
    };
    assert_eq!(recipient(json!({"to": ["a@example.com"]})).as_deref(), Some("a@example.com"));
    assert_eq!(recipient(json!({"to": ["a@example.com", "b@example.com"]})), None);
    assert_eq!(recipient(json!({"to": ["a@example.com"], "bcc": ["b@example.com"]})), None);
    assert_eq!(recipient(json!({})), None);
}

#[test]
fn tags_headers_and_broadcasts_tell_the_campaign() {
    let campaign = |data: serde_json::Value| {
        Sample::json(json!({"type": "email.opened", "data": data}).to_string()).event(&Resend).campaign
    };
    let in_list = json!([{"name": "nachfass_campaign", "value": "spring"}]);
    assert_eq!(campaign(json!({"tags": in_list})).as_deref(), Some("spring"));
    assert_eq!(campaign(json!({"headers": in_list})).as_deref(), Some("spring"));
    assert_eq!(campaign(json!({"broadcast_id": "b1"})).as_deref(), Some("b1"));
}

#[test]
fn what_is_no_event_of_a_mail_is_told_apart() {
    let inbound = Sample::json(fixture("resend/received.json")).read_error(&Resend);
    assert_eq!(inbound, ReadError::InboundMail(Provider::Resend));
    let unknown = Sample::json(r#"{"type":"email.teleported","data":{}}"#).event(&Resend);
    assert_eq!(unknown.kind, EventKind::Other);
    assert_foreign(&Resend, &["", "{", "[]", "7", r#"{"type":"email.sent"}"#, r#"{"data":{}}"#]);
}
