//! The limits on the content of one body, for every provider.

use std::time::{Duration, Instant};

use domain::Provider;
use domain::reading::{ReadError, Reading};
use proptest::prelude::*;
use serde_json::json;

use super::super::bounds::{MAX_EVENTS, MAX_READING, MAX_TREE};
use super::super::webhook;
use super::Sample;

/// A batch of minimal elements, each with `more` fields; `None` for providers without batches.
fn batch(provider: Provider, elements: usize, more: &str) -> Option<Sample> {
    let list = |element: &str| format!("[{}]", vec![element; elements].join(","));
    let body = match provider {
        Provider::Sendgrid | Provider::Brevo | Provider::Mailjet => list(&format!(r#"{{"event":"open"{more}}}"#)),
        Provider::Sparkpost => list(&format!(r#"{{"msys":{{"track_event":{{"type":"open"{more}}}}}}}"#)),
        Provider::Mailtrap => format!(r#"{{"events":{}}}"#, list(&format!(r#"{{"event":"open"{more}}}"#))),
        Provider::Generic => format!(r#"{{"events":{}}}"#, list(&format!(r#"{{"type":"opened"{more}}}"#))),
        Provider::Unisender => {
            let events = list(&format!(r#"{{"event_data":{{"status":"opened"{more}}}}}"#));
            format!(r#"{{"events_by_user":[{{"events":{events}}}]}}"#)
        }
        Provider::Mandrill => {
            let events = list(&format!(r#"{{"event":"open"{more}}}"#));
            let body = form_urlencoded::Serializer::new(String::new()).append_pair("mandrill_events", &events).finish();
            return Some(Sample::json(body).header("content-type", "application/x-www-form-urlencoded"));
        }
        Provider::Ses => {
            let named = vec![r#"{"emailAddress":"a"}"#; elements].join(",");
            format!(r#"{{"mail":{{}},"eventType":"Bounce","bounce":{{"bouncedRecipients":[{named}]}}{more}}}"#)
        }
        _ => return None,
    };
    let raw = provider == Provider::Ses;
    let sample = Sample::json(body);
    Some(if raw { sample.header("x-amz-sns-rawdelivery", "true") } else { sample })
}

fn read(provider: Provider, sample: &Sample) -> Result<Reading, ReadError> {
    webhook(provider).read(&sample.request())
}

#[test]
fn the_number_of_events_is_limited() {
    for provider in &Provider::ALL {
        let Some(most) = batch(*provider, MAX_EVENTS, "") else { continue };
        let reading = read(*provider, &most).expect("readable");
        assert_eq!((reading.events.len(), reading.failures.len()), (MAX_EVENTS, 0), "{provider}");
        let more = batch(*provider, MAX_EVENTS + 1, "").expect("a batch");
        let error = read(*provider, &more).expect_err("too much");
        assert!(matches!(&error, ReadError::TooMuch(reason) if reason.contains("20000 events")), "{provider}: {error}");
    }
}

#[test]
fn an_element_that_is_too_complex_fails_alone() {
    let hostile = format!(r#","x":[{}0]"#, r#"{"a":0},"#.repeat(60_000));
    for provider in Provider::ALL.iter().filter(|provider| !matches!(provider, Provider::Ses)) {
        let Some(sample) = batch(*provider, 1, &hostile) else { continue };
        match read(*provider, &sample) {
            Ok(reading) => assert!(reading.events.is_empty() && reading.failures.len() == 1, "{provider}"),
            Err(error) => {
                assert!(matches!(error, ReadError::NotThisProvider { .. }), "{provider}: {error}");
            }
        }
    }
    let mixed = format!(r#"[{{"type":"opened"}},{{"type":"opened"{hostile}}},{{"type":"clicked"}}]"#);
    let reading = read(Provider::Generic, &Sample::json(mixed)).expect("readable");
    assert_eq!(reading.events.len(), 2);
    let [failure] = reading.failures.as_slice() else { panic!("one failure") };
    assert_eq!(failure.index, 1);
    assert!(failure.reason.contains("16 MB"), "{}", failure.reason);
}

#[test]
fn a_single_event_that_is_too_complex_is_refused() {
    let hostile = format!("[{}0]", r#"{"a":0},"#.repeat(60_000));
    let bodies = [
        (Provider::Postmark, format!(r#"{{"RecordType":"Open","x":{hostile}}}"#)),
        (Provider::Resend, format!(r#"{{"type":"email.opened","data":{{"x":{hostile}}}}}"#)),
        (Provider::Mailersend, format!(r#"{{"type":"activity.opened","data":{{"x":{hostile}}}}}"#)),
        (Provider::Postal, format!(r#"{{"event":"MessageLoaded","payload":{{"x":{hostile}}}}}"#)),
        (Provider::Scaleway, format!(r#"{{"id":"1","type":"email_queued","x":{hostile}}}"#)),
        (Provider::Ses, format!(r#"{{"mail":{{}},"eventType":"Open","x":{hostile}}}"#)),
        (Provider::Mailgun, format!(r#"{{"event-data":{{"event":"opened","x":{hostile}}}}}"#)),
    ];
    for (provider, body) in bodies {
        assert!(body.len() < MAX_TREE / 8);
        let error = read(provider, &Sample::json(body)).expect_err("too much");
        assert!(matches!(&error, ReadError::TooMuch(_)), "{provider}: {error}");
    }
}

#[test]
fn recipients_of_one_notification_share_its_metadata() {
    let recipients: Vec<_> =
        (0..4_000).map(|number| json!({ "emailAddress": format!("r{number}@example.com") })).collect();
    let tags: serde_json::Map<_, _> =
        (0..500).map(|number| (format!("tag{number}"), json!(["x".repeat(400)]))).collect();
    let header = |name: &str, value: String| json!({ "name": name, "value": value });
    let metadata = json!({ "campaign": "spring", "more": "y".repeat(60_000) });
    let body = json!({
        "eventType": "Bounce",
        "mail": {
            "messageId": "m".repeat(10_000), "timestamp": "2026-01-01T00:00:00Z", "tags": tags,
            "headers": [header("X-Metadata", metadata.to_string()), header("X-Tag", "t".repeat(2_000))],
        },
        "bounce": { "bounceType": "Permanent", "bouncedRecipients": recipients },
    });
    let sample = Sample::json(body.to_string()).header("x-amz-sns-rawdelivery", "true");
    let began = Instant::now();
    let reading = read(Provider::Ses, &sample).expect("readable");
    // Quadratic work took seconds even in a release build.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(reading.events.len(), 4_000);
    let [first, .., last] = reading.events.as_slice() else { panic!("many events") };
    assert_eq!(last.campaign.as_deref(), Some("spring"));
    assert!(std::sync::Arc::ptr_eq(&first.metadata, &last.metadata) && std::sync::Arc::ptr_eq(&first.tags, &last.tags));
}

#[test]
fn what_each_recipient_repeats_is_limited() {
    let recipients = vec!["a@example.com"; 19_000];
    let tags: Vec<_> = (0..100).map(|_| json!({ "name": "X-Tag", "value": "t".repeat(500) })).collect();
    let body = json!({
        "eventType": "Send", "mail": { "timestamp": "2026-01-01T00:00:00Z", "destination": recipients, "headers": tags },
    });
    let sample = Sample::json(body.to_string()).header("x-amz-sns-rawdelivery", "true");
    let error = read(Provider::Ses, &sample).expect_err("too much");
    assert_eq!(error, ReadError::TooMuch(format!("its events would take more than {} MB", MAX_READING >> 20)));
}

#[test]
fn event_types_without_recipients_ignore_unnamed_fields() {
    for (name, part) in [("Click", "click"), ("Open", "open"), ("Send", "send"), ("Gossip", "")] {
        let many = vec!["a@example.com"; 100];
        let body = json!({ "eventType": name, "mail": {}, part: { "": many } });
        let sample = Sample::json(body.to_string()).header("x-amz-sns-rawdelivery", "true");
        assert_eq!(read(Provider::Ses, &sample).expect("readable").events.len(), 1, "{name}");
    }
}

#[test]
fn deep_nesting_is_refused_everywhere() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [130, 200, 200_000] {
        let nested = deep(depth);
        for provider in &Provider::ALL {
            let bodies = [
                nested.clone(),
                format!(r#"{{"x":{nested}}}"#),
                format!(r#"{{"signature":{nested},"event-data":{nested},"auth":{nested},"events":{nested}}}"#),
                format!(r#"[{{"event":"open","x":{nested},"msys":{nested}}}]"#),
            ];
            for body in bodies {
                for media_type in ["application/json", "application/x-www-form-urlencoded"] {
                    let sample = Sample::json(body.clone()).header("content-type", media_type);
                    let adapter = webhook(*provider);
                    let request = sample.request();
                    adapter.verify(&request, &["secret".to_owned()], request.received_at).expect_err("not signed");
                    let _outcome = (adapter.handshake(&request), adapter.read(&request), adapter.replay_key(&request));
                }
            }
        }
        // Strings that are parsed as JSON again have the same limit.
        let packed = json!([{ "event": "open", "Payload": nested.clone(), "X-Mailin-custom": nested.clone(), "tag": nested.clone() }]);
        for provider in [Provider::Mailjet, Provider::Brevo] {
            let reading = read(provider, &Sample::json(packed.to_string())).expect("readable");
            assert_eq!(reading.events.len(), 1);
        }
    }
}

#[test]
fn forms_of_many_fields_are_refused() {
    let urlencoded = Sample::json("a=1&".repeat(100_000)).header("content-type", "application/x-www-form-urlencoded");
    let part = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    let multipart = Sample::json(format!("{}--B--\r\n", part.repeat(20_000)))
        .header("content-type", "multipart/form-data; boundary=B");
    for sample in [urlencoded, multipart] {
        for provider in [Provider::Mailgun, Provider::Mandrill] {
            let error = read(provider, &sample).expect_err("too many");
            assert!(error.to_string().contains("more than 1000 fields"), "{provider}: {error}");
        }
    }
}

#[test]
fn a_large_multipart_form_is_read_in_pieces() {
    let value = "x".repeat(3_000_000);
    let body = format!(
        "--B\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\n{value}\r\n\
         --B\r\nContent-Disposition: form-data; name=\"event\"\r\n\r\nopened\r\n--B--\r\n"
    );
    let sample = Sample::json(body.clone()).header("content-type", "multipart/form-data; boundary=B");
    let reading = read(Provider::Mailgun, &sample).expect("readable");
    assert_eq!(reading.events[0].metadata["v"], value);
    let cut_off = Sample::json(&body.as_bytes()[..2_000_000]).header("content-type", "multipart/form-data; boundary=B");
    assert!(matches!(read(Provider::Mailgun, &cut_off), Err(ReadError::NotThisProvider { .. })));
}

proptest! {
    #[test]
    fn a_multipart_form_is_the_same_whatever_its_size(values in prop::collection::vec("[a-z\\r\\n-]{0,9}", 1..6), pad in 0_usize..140_000) {
        let part = |value: &String| format!("--B\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\n{value}\r\n");
        let padding = "p".repeat(pad);
        let body = format!("{}{}--B--\r\n", part(&padding), values.iter().map(part).collect::<String>());
        prop_assume!(!values.iter().any(|value| value.contains("--B")));
        let sample = Sample::json(body).header("content-type", "multipart/form-data; boundary=B");
        let fields = super::super::form::fields(&sample.request(), |_| true).expect("a form");
        let expected: Vec<String> = std::iter::once(padding).chain(values).collect();
        let found: Vec<String> = fields.into_iter().map(|(_, value)| value).collect();
        prop_assert_eq!(found, expected);
    }
}
