//! `allow_origins`: whether each entry is what a browser sends as `Origin`.

use url::Url;

use super::{Config, Findings, is_this_machine};

/// Whether pages of the listed origins will be recognised.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    for (place, text) in config.allow_origins.iter().enumerate() {
        let key = format!("allow_origins[{place}]");
        match origin(text) {
            Ok(url) if url.scheme() == "http" && !is_this_machine(&url) => {
                let problem =
                    format!("pages of {text:?} are loaded unencrypted, and the token that they hold with them");
                findings.warning(key, problem, "serve them by https://");
            }
            Ok(_) => {}
            Err(advice) => findings.error(key, format!("{text:?} is not an origin"), &advice),
        }
    }
}

/// The origin that a text is, as a URL.
///
/// # Errors
/// What to write instead.
fn origin(text: &str) -> Result<Url, String> {
    let example = "write scheme, host and port as a browser shows them, for example https://app.example.com";
    if text.contains('*') {
        return Err("list each origin: tokens of this installation are not for every page".to_owned());
    }
    let url = Url::parse(text).map_err(|_| example.to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(example.to_owned());
    }
    // As browsers write it: no path, no default port, the host in lower case.
    let written = url.origin().ascii_serialization();
    if written == text { Ok(url) } else { Err(format!("write {written}")) }
}
