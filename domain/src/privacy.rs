//! What a text gives away: whether it holds an address, in whatever spelling, and what of a link names nobody.

use std::borrow::Cow;

use url::Url;

/// What stands where somebody would see personal data who may not.
pub const HIDDEN: &str = "•••";

/// A link that so many recipients have clicked names none of them.
pub const ANONYMOUS_FROM: i64 = 20;

/// A text is taken out of its encodings so many times.
const LAYERS: usize = 4;

/// Whether a text holds what looks like an e-mail address: as it is, percent-encoded, as an entity, in hexadecimal digits, in Base64 or
/// Base32, or several of these within each other.
#[must_use]
pub fn holds_address(text: &str) -> bool {
    let mut layer = Cow::Borrowed(text);
    for _ in 0..LAYERS {
        if is_address_in(&layer) || tokens(&layer).any(is_address_encoded) {
            return true;
        }
        match decoded(&layer) {
            Cow::Owned(next) if next != layer => layer = Cow::Owned(next),
            _ => return false,
        }
    }
    false
}

/// What of a link may be seen by those who may not see personal data: its scheme and host, or all of it where so many have clicked it and
/// it holds no address.
#[must_use]
pub fn public_link(url: &str, clickers: i64) -> String {
    if clickers >= ANONYMOUS_FROM && !holds_address(url) { url.to_owned() } else { origin(url) }
}

/// The scheme and the host of a link, as far as they name nobody; [`HIDDEN`] where it is none.
#[must_use]
pub fn origin(url: &str) -> String {
    let Ok(url) = Url::parse(url.trim()) else { return HIDDEN.to_owned() };
    let scheme = url.scheme();
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else { return format!("{scheme}:") };
    if holds_address(host) {
        return format!("{scheme}://{HIDDEN}");
    }
    url.port().map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}"))
}

/// The signs that stand between the name and the host of an address.
const SIGNS: &[char] = &['@', '＠', '﹫'];

fn is_address_in(text: &str) -> bool {
    let is_at = text.contains(SIGNS)
        && text.match_indices(SIGNS).any(|(at, sign)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let after = text.get(at + sign.len()..).and_then(|after| after.chars().next());
            before.is_some_and(is_local) && after.is_some_and(|after| after.is_alphanumeric() || after == '[')
        });
    is_at || is_spelled_out(text)
}

fn is_local(character: char) -> bool {
    character.is_alphanumeric() || "!#$%&'*+-=?^_`{|}~.\"".contains(character) && !"/?&=".contains(character)
}

/// `erika (at) example.com`, `erika-at-example.com`, and `erika=40example.com` as mail has it.
fn is_spelled_out(text: &str) -> bool {
    let text = text.to_lowercase();
    let in_brackets = ["(at)", "[at]", "{at}", "<at>", "(ät)"].iter().any(|at| text.contains(at));
    in_brackets
        || ["-at-", "_at_", ".at.", " at ", "=40"].iter().any(|at| {
            let mut parts = text.split(at);
            parts.next().is_some_and(|before| before.ends_with(char::is_alphanumeric)) && parts.any(begins_with_host)
        })
}

/// Whether a text begins with a host name: labels with a dot and letters behind it.
fn begins_with_host(text: &str) -> bool {
    let host: String = text.chars().take_while(|letter| letter.is_alphanumeric() || "-.".contains(*letter)).collect();
    host.rsplit_once('.').is_some_and(|(labels, last)| {
        labels.starts_with(char::is_alphanumeric) && last.len() >= 2 && last.chars().all(char::is_alphabetic)
    })
}

/// The text with a layer of percent, entity and escape encoding taken away.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '&', '\\']) {
        return Cow::Borrowed(text);
    }
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        match escaped(rest) {
            Some((decoded, length)) => {
                let mut buffer = [0; 4];
                out.extend_from_slice(decoded.encode_utf8(&mut buffer).as_bytes());
                at += length;
            }
            None => {
                // A byte of a character of several is put together below.
                match percent(rest) {
                    Some(byte) => {
                        out.push(byte);
                        at += 3;
                    }
                    None => {
                        out.push(*byte);
                        at += 1;
                    }
                }
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// `%40`.
fn percent(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    u8::try_from(hex_digit(*high)? * 16 + hex_digit(*low)?).ok()
}

fn hex_digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

/// `&#64;`, `&#x40;`, `&commat;`, `&amp;`, `\u0040` and `\x40`: the character, and how many bytes it takes.
fn escaped(bytes: &[u8]) -> Option<(char, usize)> {
    const NAMED: &[(&[u8], char)] = &[(b"&commat;", '@'), (b"&amp;", '&'), (b"&period;", '.'), (b"&percnt;", '%')];
    if let Some((name, character)) = NAMED.iter().find(|(name, _)| bytes.starts_with(name)) {
        return Some((*character, name.len()));
    }
    let number = |start: usize, radix: u32, most: usize| {
        let digits = bytes.get(start..)?.iter().take(most).map_while(|byte| char::from(*byte).to_digit(radix));
        let (value, count) =
            digits.fold((0_u32, 0), |(value, count), digit| (value.saturating_mul(radix) + digit, count + 1));
        Some((char::from_u32(value).filter(|_| count > 0)?, start + count))
    };
    let (character, end) = match bytes {
        [b'&', b'#', b'x' | b'X', ..] => number(3, 16, 6)?,
        [b'&', b'#', ..] => number(2, 10, 7)?,
        [b'\\', b'u', b'{', ..] => number(3, 16, 6)?,
        [b'\\', b'u', ..] | [b'%', b'u', ..] => number(2, 16, 4)?,
        [b'\\', b'x', ..] => number(2, 16, 2)?,
        _ => return None,
    };
    let closed = usize::from(matches!(bytes.get(end), Some(b';' | b'}')));
    Some((character, end + closed))
}

/// The parts of a text that may be encoded as a whole.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    const SHORTEST: usize = 8;
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "+-_".contains(letter);
    let by = move |more: &'static str| {
        text.split(move |letter: char| !is_part(letter) && !more.contains(letter))
            .filter(|token| token.len() >= SHORTEST)
    };
    // A slash is a letter of Base64, and separates the parts of a path.
    by("").chain(by("/").filter(|token| token.contains('/')))
}

/// Whether a token is an encoded text with an address in it.
fn is_address_encoded(token: &str) -> bool {
    (0..4).filter_map(|skipped| token.get(skipped..)).any(|token| {
        let base64 = |letter: u8| match letter {
            b'A'..=b'Z' => Some(u32::from(letter - b'A')),
            b'a'..=b'z' => Some(u32::from(letter - b'a') + 26),
            b'0'..=b'9' => Some(u32::from(letter - b'0') + 52),
            b'+' | b'-' => Some(62),
            b'/' | b'_' => Some(63),
            _ => None,
        };
        let base32 = |letter: u8| match letter.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => Some(u32::from(letter - b'A')),
            letter @ b'2'..=b'7' => Some(u32::from(letter - b'2') + 26),
            _ => None,
        };
        is_strict(&unpacked(token, 6, base64)) || is_strict(&unpacked(token, 4, hex_digit))
            // Its groups have eight letters: what stands before them may be as long.
            || [token, token.get(4..).unwrap_or_default()].iter().any(|token| is_strict(&unpacked(token, 5, base32)))
    })
}

/// The bytes of a token each of whose letters stands for so many bits; up to the first letter that does not.
fn unpacked(token: &str, bits: u32, value: impl Fn(u8) -> Option<u32>) -> Vec<u8> {
    let (mut bytes, mut held, mut count) = (Vec::new(), 0_u32, 0);
    for letter in token.bytes().map_while(value) {
        held = (held << bits | letter) & 0xFFFF;
        count += bits;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(held >> count & 0xFF).unwrap_or_default());
        }
    }
    bytes
}

/// Whether bytes hold an address with a host of several labels: in bytes that are anything, a sign between two letters is chance.
fn is_strict(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.match_indices('@').any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_some_and(|before| before.is_ascii() && is_local(before))
            && text.get(at + 1..).is_some_and(|host| host.starts_with(|c: char| c.is_ascii()) && begins_with_host(host))
    }) || text.contains("%40")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_seen_in_every_spelling() {
        for text in [
            "erika@example.com",
            "Für Erika <erika.marker@firma.example>",
            "mailto:erika@example.com",
            "https://x.example/u/erika@example.com",
            "https://x.example/u/erika%40example.com",
            "https://x.example/u/erika%2540example.com",
            "https://x.example/u/erika%252540example.com",
            "https://x.example/?e=erika=40example.com",
            "https://erika@x.example/",
            "https://x.example/#erika%40example.com",
            "erika＠example.com",
            "erika%EF%BC%A0example.com",
            "erika&#64;example.com",
            "erika&#x40;example.com",
            "erika&commat;example.com",
            "erika&amp;#64;example.com",
            "erika\\u0040example.com",
            "erika (at) example.com",
            "erika[at]example.com",
            "/u/erika-at-example.com",
            // Base64, with and without what belongs to it; its form for URLs; within percent encoding.
            "https://x.example/u/ZXJpa2FAZXhhbXBsZS5jb20=",
            "https://x.example/u/ZXJpa2FAZXhhbXBsZS5jb20",
            "https://x.example/u/ZXJpa2FAZXhhbXBsZS5jb20%3D",
            "https://x.example/t-ZXJpa2FAZXhhbXBsZS5jb20/open",
            "https://x.example/?d=eyJlIjoiZXJpa2FAZXhhbXBsZS5jb20ifQ",
            // Hexadecimal digits, Base32.
            "https://x.example/u/6572696b61406578616d706c652e636f6d",
            "https://x.example/u/MVZGS23BIBSXQYLNOBWGKLTDN5WQ",
        ] {
            assert!(holds_address(text), "{text}");
        }
        for text in [
            "",
            "Frühling 2026",
            "Messe @ Berlin",
            "https://x.example/@nachfass/beitrag",
            "https://x.example/angebote?farbe=rot&groesse=40",
            "https://x.example/blog/2026/look-at-this",
            "https://x.example/a%20b%2Fc",
            "https://x.example/d41d8cd98f00b204e9800998ecf8427e",
            "Newsletter Kunden DACH (Stand 2026)",
            "100 % Rabatt",
        ] {
            assert!(!holds_address(text), "{text}");
        }
    }

    #[test]
    fn a_link_shows_its_origin_until_many_have_clicked_it() {
        for (url, clickers, shown) in [
            ("https://x.example/u/erika?id=4711", 1, "https://x.example"),
            ("https://x.example/u/erika?id=4711", 19, "https://x.example"),
            ("https://x.example/angebot?id=4711", 20, "https://x.example/angebot?id=4711"),
            ("https://x.example/u/erika%40example.com", 500, "https://x.example"),
            ("https://erika:geheim@x.example:8443/a", 500, "https://x.example:8443"),
            ("mailto:erika@example.com?subject=x", 500, "mailto:"),
            ("tel:+49301234", 1, "tel:"),
            ("HTTPS://X.example/A", 1, "https://x.example"),
            ("https://6572696b61406578616d706c652e636f6d.x.example/", 1, "https://•••"),
            ("/relativ/erika", 1, "•••"),
            ("kein Link", 99, "kein Link"),
            ("", 1, "•••"),
        ] {
            assert_eq!(public_link(url, clickers), shown, "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in any::<String>(), clickers in any::<i64>()) {
            prop_assert!(!(holds_address(&text) && public_link(&text, clickers) == text && text.contains('@')));
        }

        #[test]
        fn an_address_in_a_path_is_never_shown(name in "[a-z]{2,8}", before in "[a-z/]{0,6}", clickers in any::<i64>()) {
            let address = format!("{name}.marker@firma.example");
            for spelled in [address.clone(), address.replace('@', "%40"), address.replace('@', "%2540")] {
                let shown = public_link(&format!("https://x.example/{before}/{spelled}/b"), clickers);
                prop_assert_eq!(shown, "https://x.example");
            }
        }

        #[test]
        fn the_origin_has_no_path_query_fragment_or_user(path in "[a-z0-9/@:?#%&=.]{0,20}") {
            let shown = origin(&format!("https://user:pass@x.example/{path}"));
            prop_assert_eq!(shown, "https://x.example");
        }
    }
}
