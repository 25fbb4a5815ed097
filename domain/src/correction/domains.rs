//! Which domain is meant instead of one.

use std::sync::LazyLock;

use super::providers::{AT_ONE_DOMAIN, LARGE, is_real_provider};
use super::typing::Word;
use super::{CEILING, SuggestionReason};
use crate::mx::Exchange;

/// People made `count` addresses of a domain into ones of another: by hand or by a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The other domain.
    pub domain: String,
    /// How many addresses.
    pub count: u32,
}

/// A domain instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instead {
    pub domain: String,
    pub reason: SuggestionReason,
    pub confidence: u8,
}

/// Ends that no domain has, and which one is meant.
const NO_ENDS: &[(&str, &str)] = &[
    ("con", "com"),
    ("cmo", "com"),
    ("ocm", "com"),
    ("comm", "com"),
    ("coom", "com"),
    ("ccom", "com"),
    ("vom", "com"),
    ("xom", "com"),
    ("cim", "com"),
    ("cpm", "com"),
    ("clm", "com"),
    ("copm", "com"),
    ("conm", "com"),
    ("comn", "com"),
    ("coim", "com"),
    ("ed", "de"),
    ("dee", "de"),
    ("dde", "de"),
    ("der", "de"),
    ("ded", "de"),
    ("dw", "de"),
    ("nte", "net"),
    ("nett", "net"),
    ("ner", "net"),
    ("nrt", "net"),
    ("ogr", "org"),
    ("rog", "org"),
    ("orgg", "org"),
    ("ogg", "org"),
];

/// So sure is an end that no domain has.
const NO_END: u8 = 90;
/// And so sure is one that is not the provider's.
const OTHER_END: u8 = 78;
/// Of a slip that costs 100, so much is left …
const ONE_SLIP: u32 = 76;
/// … and so much less for each 100 more.
const MORE_SLIPS: u32 = 28;
/// Short names are near to many others.
const SHORT: u8 = 30;
/// Two providers are equally near.
const AMBIGUOUS: u8 = 8;
/// A domain that takes mail may be somebody's own: but who lives on others' slips takes mail as well.
const TAKES_MAIL: u8 = 8;
/// A domain that takes none is nobody's.
const TAKES_NONE: u8 = 6;
/// Further apart than this nothing is a slip.
const FARTHEST: u32 = 190;
/// Who means the nearest does not mean one that is so much further away.
const NEAREST: u32 = 30;

/// The large providers that may be mistyped, in the order of the list.
static MISTYPED: LazyLock<Vec<(&str, Word)>> = LazyLock::new(|| {
    LARGE.iter().filter(|known| may_be_mistyped(known)).map(|known| (*known, Word::new(known))).collect()
});

/// The domains that may be meant by `domain`; none where it is that of a provider that is known.
pub(super) fn instead_of(domain: &str, learned: &[Learned], exchange: Exchange) -> Vec<Instead> {
    if is_real_provider(domain) {
        return Vec::new();
    }
    let mut found = by_end(domain);
    if found.is_empty() {
        found = by_slip(domain);
    }
    found.extend(by_learning(domain, learned));
    for instead in &mut found {
        instead.confidence = match exchange {
            Exchange::Exists => instead.confidence.saturating_sub(TAKES_MAIL),
            Exchange::Missing => instead.confidence.saturating_add(TAKES_NONE),
            Exchange::Unknown => instead.confidence,
        }
        .min(CEILING);
    }
    found
}

/// The name and its end.
fn parts(domain: &str) -> Option<(&str, &str)> {
    domain.rsplit_once('.').filter(|(name, end)| !name.is_empty() && !end.is_empty())
}

fn by_end(domain: &str) -> Vec<Instead> {
    let Some((name, end)) = parts(domain) else { return Vec::new() };
    let reason = SuggestionReason::TldSlip;
    if let Some((_, meant)) = NO_ENDS.iter().find(|(wrong, _)| *wrong == end) {
        let meant = format!("{name}.{meant}");
        // Its name may hold another slip.
        if !is_real_provider(&meant)
            && let Some(best) = by_slip(&meant).into_iter().next()
        {
            return vec![Instead { confidence: best.confidence.saturating_sub(AMBIGUOUS), ..best }];
        }
        let confidence = if is_real_provider(&meant) { CEILING - 2 } else { NO_END };
        return vec![Instead { domain: meant, reason, confidence }];
    }
    let same_name = |known: &&&str| parts(known).is_some_and(|(known, _)| known == name);
    let known = AT_ONE_DOMAIN.iter().find(same_name);
    known.map(|known| Instead { domain: (*known).to_owned(), reason, confidence: OTHER_END }).into_iter().collect()
}

/// The large providers that are a slip away.
fn by_slip(domain: &str) -> Vec<Instead> {
    let written = Word::new(domain);
    let near = MISTYPED.iter().filter_map(|(known, word)| Some((written.distance(word, FARTHEST)?, *known)));
    let mut near: Vec<(u32, &str)> = near.collect();
    // In the order of the list where they are equally near.
    near.sort_by_key(|(distance, _)| *distance);
    let nearest = near.first().map_or(0, |(distance, _)| *distance);
    near.retain(|(distance, _)| *distance <= nearest + NEAREST);
    let is_ambiguous = near.iter().filter(|(distance, _)| *distance == nearest).count() > 1;
    let instead = |(distance, known): (u32, &str)| {
        let left = (ONE_SLIP + MORE_SLIPS).saturating_sub(distance * MORE_SLIPS / 100);
        let mut confidence = u8::try_from(left).unwrap_or(CEILING);
        if name_length(known) <= 3 {
            confidence = confidence.saturating_sub(SHORT);
        }
        if is_ambiguous {
            confidence = confidence.saturating_sub(AMBIGUOUS);
        }
        Instead { domain: known.to_owned(), reason: SuggestionReason::TypoDomain, confidence }
    };
    near.into_iter().map(instead).collect()
}

/// Names of two letters are near to every other of them.
fn may_be_mistyped(domain: &str) -> bool {
    name_length(domain) > 2
}

fn name_length(domain: &str) -> usize {
    domain.split('.').next().map_or(0, str::len)
}

/// What people did with other addresses of the domain. Somebody who changed employers teaches nothing, a firm that changed its name does.
fn by_learning(domain: &str, learned: &[Learned]) -> Vec<Instead> {
    let all: u32 = learned.iter().map(|learned| learned.count).sum();
    let written = Word::new(domain);
    let instead = |learned: &Learned| {
        if learned.count == 0 || learned.domain == domain {
            return None;
        }
        // 40, 68, 77, 82 … of a hundred, and more where one looks like the other.
        let alone = 95 - 55_u32.div_ceil(learned.count);
        let is_slip = written.distance(&Word::new(&learned.domain), FARTHEST).is_some();
        let similar = if is_slip { 15 } else { 0 };
        // People did not agree.
        let agreed = (alone + similar).min(95) * learned.count / all.max(1);
        let confidence = u8::try_from(agreed).unwrap_or(CEILING);
        Some(Instead { domain: learned.domain.clone(), reason: SuggestionReason::Learned, confidence })
    };
    learned.iter().filter_map(instead).collect()
}

/// A text without what belongs to no address: white space, brackets and marks around it, commas for dots, dots twice.
pub(super) fn cleaned(text: &str) -> String {
    let around = |letter: char| letter.is_whitespace() || ".,;:<>()[]\"'".contains(letter);
    let text = text.trim_matches(around);
    let text = text.strip_prefix("mailto:").unwrap_or(text).trim_matches(around);
    let mut cleaned = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !letter.is_whitespace()) {
        let letter = if letter == ',' || letter == ';' { '.' } else { letter };
        let is_twice = matches!(letter, '.' | '@') && cleaned.ends_with(letter);
        if !is_twice {
            cleaned.push(letter);
        }
    }
    // A dot beside the sign is one too many as well.
    cleaned.replace(".@", "@").replace("@.", "@")
}

/// The provider that a domain without any dot is (`gmailcom`).
pub(super) fn with_dot(domain: &str) -> Option<&'static str> {
    let domain = domain.to_lowercase();
    if domain.contains('.') {
        return None;
    }
    LARGE.iter().copied().find(|known| known.replace('.', "") == domain)
}
