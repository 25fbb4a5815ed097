//! What is sealed or signed: tokens of the CRM, links to files, secrets of sessions and API tokens.

use service::fuzzing::{Links, Tokens, secret_hash};

use crate::input::{line, text};

/// The longest input that is sealed.
const MAX_TOKEN: usize = 2_000;

/// The name on the first line, what is stored under it behind.
pub fn sealed(data: &[u8]) {
    thread_local!(static TOKENS: Tokens = Tokens::new(&[7; 32]));
    // Sealing takes its time without optimisation, and a longer token is no other.
    let data = &data[..data.len().min(MAX_TOKEN)];
    let (name, stored) = line(data);
    TOKENS.with(|tokens| {
        if let Some(secret) = tokens.open(&name, stored) {
            assert_eq!(tokens.seal(&name, &secret), stored, "two forms of one token");
        }
        let secret = text(stored);
        let mut sealed = tokens.seal(&name, &secret);
        assert_eq!(tokens.open(&name, &sealed).as_ref(), Some(&secret));
        assert_eq!(tokens.open(&format!("{name}x"), &sealed), None, "opened under another name");
        let at = usize::from(data.first().copied().unwrap_or_default()) % sealed.len();
        sealed[at] ^= 1;
        assert_eq!(tokens.open(&name, &sealed), None, "changed, and opened all the same");
    });
    let hash = secret_hash(&text(data));
    assert!(hash.is_none_or(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())));
}

/// Id, end and signature of a link, on three lines.
pub fn link(data: &[u8]) {
    thread_local!(static LINKS: Links = Links::new(&[7; 32]));
    let (id, rest) = line(data);
    let (expires, signature) = line(rest);
    let (expires, signature) = (expires.trim().parse().unwrap_or_default(), text(signature));
    LINKS.with(|links| {
        let own = links.sign(&id, expires);
        assert!(links.verify(&id, expires, &own));
        assert_eq!(links.verify(&id, expires, &signature), signature == own, "{signature} is taken for {own}");
        assert!(!links.verify(&format!("{id}0"), expires, &own), "good for another file");
        assert!(!links.verify(&id, i64::wrapping_add(expires, 1), &own), "good for another end");
    });
}
