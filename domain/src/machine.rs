//! Telling machines from people: proxies that prefetch pixels, scanners that follow links.

use serde::Serializer;

use crate::coded_enum;
use serde::Serialize;

coded_enum! {
    /// Why an open or a click is taken for a machine's.
    MachineReason {
        /// The provider flags it (Mailgun `bot`, SendGrid `sg_machine_open`, Brevo `proxy_open`, SparkPost `is_prefetched`).
        ProviderFlag = 1 "PROVIDER_FLAG",
        /// The user agent is a known image proxy or prefetcher.
        KnownProxy = 2 "KNOWN_PROXY",
        /// The user agent is a known security scanner, crawler or HTTP library.
        KnownScanner = 3 "KNOWN_SCANNER",
        /// Many distinct links of one message within about a second.
        Burst = 4 "BURST",
    }
}

/// Who opened or clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The provider says that it was a person.
    Human,
    /// A machine, and how that is known.
    Machine(MachineReason),
}

impl Verdict {
    /// Whether it was a machine.
    #[must_use]
    pub const fn is_machine(self) -> bool {
        matches!(self, Self::Machine(_))
    }

    /// As the `machine` of an event line: true, false or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize_as_machine<S: Serializer>(verdict: &Option<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        verdict.map(Self::is_machine).serialize(serializer)
    }
}

/// User agents of image proxies and mail prefetchers: a part of the text, in lower case.
const PROXIES: &[&str] =
    &["googleimageproxy", "yahoomailproxy", "ggpht.com", "outlook-ios-proxy", "duckduckgo privacy"];

/// User agents of scanners and HTTP libraries: a part of the text, in lower case.
const SCANNERS: &[&str] = &[
    "barracuda",
    "proofpoint",
    "mimecast",
    "safelinks",
    "symantec",
    "messagelabs",
    "fireeye",
    "trendmicro",
    "bitdefender",
    "googlebot",
    "bingbot",
    "bingpreview",
    "slackbot",
    "facebookexternalhit",
    "linkedinbot",
    "twitterbot",
    "whatsapp/",
    "telegrambot",
    "headlesschrome",
    "phantomjs",
    "python-requests",
    "python-urllib",
    "go-http-client",
    "java/",
    "okhttp",
    "curl/",
    "wget/",
    "libwww-perl",
    "apache-httpclient",
    "scrapy",
    "ahrefsbot",
    "semrushbot",
];

/// What the user agent alone tells of an open or a click: `None` where it could be a person's.
///
/// Apple's Mail Privacy Protection fetches with the bare text `Mozilla/5.0`, which no browser of a person's sends.
#[must_use]
pub fn verdict_by_user_agent(user_agent: &str) -> Option<Verdict> {
    let agent = user_agent.trim().to_ascii_lowercase();
    let known = |list: &[&str]| list.iter().any(|part| agent.contains(part));
    if agent == "mozilla/5.0" || known(PROXIES) {
        Some(Verdict::Machine(MachineReason::KnownProxy))
    } else if known(SCANNERS) {
        Some(Verdict::Machine(MachineReason::KnownScanner))
    } else {
        None
    }
}

/// The verdict of an open or a click: the provider's own flag first, then the user agent.
///
/// `flag` is the provider's word: `Some(true)` for a machine, `Some(false)` for a person, `None` where it does not say.
#[must_use]
pub fn verdict(flag: Option<bool>, user_agent: Option<&str>) -> Option<Verdict> {
    if flag == Some(true) {
        return Some(Verdict::Machine(MachineReason::ProviderFlag));
    }
    user_agent.and_then(verdict_by_user_agent).or_else(|| flag.map(|_| Verdict::Human))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_and_scanners_are_known_and_browsers_are_not() {
        let machine = |agent| verdict_by_user_agent(agent).is_some();
        assert!(machine("Mozilla/5.0"));
        assert!(machine("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"));
        assert!(machine("python-requests/2.31"));
        assert!(!machine(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"
        ));
        assert!(!machine(""));
    }

    #[test]
    fn a_flag_for_a_person_does_not_outweigh_a_known_proxy() {
        assert_eq!(verdict(Some(false), Some("Mozilla/5.0")), Some(Verdict::Machine(MachineReason::KnownProxy)));
        assert_eq!(verdict(Some(false), Some("Thunderbird")), Some(Verdict::Human));
        assert_eq!(verdict(None, Some("Thunderbird")), None);
    }
}
