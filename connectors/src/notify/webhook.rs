//! An alert as a signed POST of JSON.

use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use domain::notify::{AlertNotice, NotifyError};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde_json::json;
use url::{Host, Url};

use crate::providers::signature::{hex, hmac_sha256};

/// When it was posted, in seconds since 1970; part of what is signed, so that an old request cannot be sent again.
const TIMESTAMP: HeaderName = HeaderName::from_static("x-nachfass-timestamp");
/// `sha256=` and the HMAC over `{timestamp}.{body}`, in hexadecimal digits.
const SIGNATURE: HeaderName = HeaderName::from_static("x-nachfass-signature");
/// The same for every request about one alert.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Where to post, and with which secret to sign.
#[derive(Clone)]
pub struct WebhookSettings {
    /// The address: https, or http on this machine.
    pub url: Url,
    /// The secret that both sides know.
    pub secret: String,
}

/// Posts alerts.
pub struct Webhook {
    settings: WebhookSettings,
    public_url: String,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    pub(super) fn new(
        settings: WebhookSettings,
        public_url: &str,
        clock: Arc<dyn Clock>,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .user_agent(concat!("nachfass/", env!("CARGO_PKG_VERSION")));
        // Nobody can listen in on this machine, and no proxy reaches it.
        http = if is_this_machine(&settings.url) { http.no_proxy() } else { http.https_only(true) };
        Ok(Self { settings, public_url: public_url.to_owned(), http: http.build()?, clock })
    }

    /// Posts an alert.
    pub(super) async fn post(&self, notice: &AlertNotice) -> Result<(), NotifyError> {
        let body = self.body(notice).to_string();
        let timestamp = self.clock.now().seconds().to_string();
        let parts = [timestamp.as_bytes(), b".", body.as_bytes()];
        let signature = format!("sha256={}", hex(&hmac_sha256(self.settings.secret.as_bytes(), &parts)));
        let request = self
            .http
            .post(self.settings.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(TIMESTAMP, timestamp)
            .header(SIGNATURE, signature)
            .header(IDEMPOTENCY_KEY, format!("nachfass-alert-{}", notice.id))
            .body(body);
        // The URL may hold a token, as those of chats do: it stands in no error.
        let response = request.send().await.map_err(|error| NotifyError::Unavailable(error.without_url().into()))?;
        judge(response.status())
    }

    fn body(&self, notice: &AlertNotice) -> serde_json::Value {
        let alert = notice.alert;
        json!({
            "id": notice.id,
            "kind": alert.kind,
            "campaign": { "key": notice.campaign_key, "name": notice.campaign_name },
            "value": alert.value,
            "limit": alert.limit,
            "message": alert.message(),
            "raisedAt": notice.raised_at,
            "resolvedAt": notice.resolved_at,
            "url": self.public_url,
        })
    }
}

/// What an answer means: what may pass is tried again, the rest is for somebody to put right.
fn judge(status: StatusCode) -> Result<(), NotifyError> {
    let said = format!("the webhook for alerts answered with the status {}", status.as_u16());
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(NotifyError::Unavailable(said.into())),
        _ if status.is_client_error() => Err(NotifyError::Refused(said)),
        _ if status.is_redirection() => Err(NotifyError::Refused(format!("{said}: redirects are not followed"))),
        _ => Err(NotifyError::Unavailable(said.into())),
    }
}

/// Whether a URL names the machine that it is read on.
#[must_use]
pub(super) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        // Outside of http and https the parser takes an IPv4 address for a name.
        Some(Host::Domain(name)) => {
            name == "localhost"
                || name.ends_with(".localhost")
                || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again() {
        for (status, again) in
            [(408, true), (429, true), (500, true), (503, true), (400, false), (404, false), (302, false)]
        {
            let error = judge(StatusCode::from_u16(status).expect("a status")).expect_err("no success");
            assert_eq!(matches!(error, NotifyError::Unavailable(_)), again, "{status}");
        }
        assert!(judge(StatusCode::NO_CONTENT).is_ok());
    }
}
