//! Small rules that every event or cell goes through.

use std::hint::black_box;

use domain::email::{EmailAddress, domain_of_key, is_simulator, key_of};
use domain::smtp::{EnhancedCode, Reply, reconcile};
use domain::table::{defuse, is_formula, restore};
use domain::{EventKind, Timestamp};

use crate::input::text;

/// A text that may be an address.
pub fn email(data: &[u8]) {
    let text = text(data);
    let key = key_of(&text);
    assert_eq!(key_of(&key), key, "the key of a key is another one");
    black_box(is_simulator(&key));
    if let Ok(address) = EmailAddress::parse(&text) {
        assert_eq!(address.key(), key);
        assert_eq!(address.domain(), domain_of_key(&key));
        assert!(address.domain().is_ascii(), "{}", address.domain());
        assert!(!address.as_str().contains(['\r', '\n', '\0']), "an address with a line end");
    }
}

/// A server's answer.
pub fn smtp_reply(data: &[u8]) {
    let text = text(data);
    let reply = Reply::find(&text);
    assert!(reply.code.is_none_or(|code| (200..600).contains(&code)));
    if let Some(code) = reply.enhanced {
        assert_eq!(code.to_string().parse::<EnhancedCode>().expect("our own text"), code);
    }
    for kind in EventKind::ALL {
        let once = reconcile(*kind, None, reply);
        assert_eq!(reconcile(once.0, once.1, reply), once);
    }
}

/// A cell of an exported file.
pub fn formula(data: &[u8]) {
    let text = text(data);
    let defused = defuse(&text);
    assert!(!is_formula(&text) || defused.starts_with('\''), "{defused:?}");
    assert_eq!(restore(&defused), text, "the text was changed");
    assert_eq!(defused.replace('\'', ""), text.replace('\'', ""), "more than apostrophes was added");
}

/// The beginnings of these years, in microseconds since 1970.
const YEAR_0: i64 = -62_167_219_200_000_000;
const YEAR_10_000: i64 = 253_402_300_800_000_000;

/// A time as text or number.
pub fn time(data: &[u8]) {
    let text = text(data);
    let text = text.trim();
    let times = [
        text.parse().ok(),
        text.parse().ok().map(Timestamp::from_seconds),
        text.parse().ok().map(Timestamp::from_micros),
        text.parse().ok().and_then(Timestamp::from_float_seconds),
    ];
    for time in times.into_iter().flatten() {
        assert!(time.hour() <= time);
        black_box((time.seconds(), time.plus_seconds(i64::MAX).since(time)));
        let written = time.to_string();
        // RFC 3339 has no other years.
        if (YEAR_0..YEAR_10_000).contains(&time.micros()) {
            assert_eq!(written.parse::<Timestamp>().expect("our own text"), time);
        }
    }
}
