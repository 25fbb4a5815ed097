//! Where the tenant is, and who is let in.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::Clock;
use rsa::pkcs8::DecodePublicKey;
use rsa::signature::Verifier;
use serde_json::{Value, json};

use super::answer::Response;
use super::filter::date;
use super::http::Request;
use super::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, SYSTEM_USER_TOKEN, TENANT};

pub(super) struct Login {
    clock: Arc<dyn Clock>,
    url: String,
    /// The number of the host that the tenant is on.
    pub(super) server: u32,
    pub(super) state: (String, bool),
    /// Where the tenant is said to be, if not where it is.
    pub(super) api: Option<String>,
    /// Tokens and tickets that were given so far; the last one is good.
    issued: u32,
    /// For how many requests each is good, and the last one still.
    pub(super) uses: Option<u32>,
    pub(super) left: Option<u32>,
}

impl Login {
    pub(super) fn new(clock: Arc<dyn Clock>, url: String) -> Self {
        let state = ("Running".to_owned(), true);
        Self { clock, url, server: 1, state, api: None, issued: 0, uses: None, left: None }
    }

    /// What of a path lies below the tenant's API, on whichever host.
    pub(super) fn within<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (_, rest) = path.strip_prefix("/online")?.split_once('/')?;
        rest.strip_prefix(TENANT)?.strip_prefix("/api/v1/")
    }

    /// Answers what lies outside of the tenant.
    pub(super) fn answer(&mut self, request: &Request) -> Response {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", path) if path == format!("/api/state/{TENANT}") => self.tell_state(),
            ("POST", "/login/common/oauth/tokens") => self.refresh(request),
            ("POST", "/Login/api/PartnerSystemUser/Authenticate") => self.authenticate(&request.json()),
            _ => Response::fault(404, "SoNotFoundException"),
        }
    }

    fn tell_state(&self) -> Response {
        let endpoint = format!("{}/online{}/{TENANT}", self.url, self.server);
        Response::ok(json!({
            "ContextIdentifier": TENANT,
            "Endpoint": endpoint,
            "State": self.state.0,
            "IsRunning": self.state.1,
            "ValidUntil": date(self.clock.now().plus_seconds(900)),
            "Api": self.api.clone().unwrap_or_else(|| format!("{endpoint}/api")),
            "Version": "11.7",
        }))
    }

    fn issue(&mut self) -> u32 {
        self.issued += 1;
        self.left = self.uses;
        self.issued
    }

    fn refresh(&mut self, request: &Request) -> Response {
        let form: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
        let expected = [
            ("grant_type", "refresh_token"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("refresh_token", REFRESH_TOKEN),
        ];
        let has = |(name, value): (&str, &str)| form.iter().any(|(known, said)| known == name && said == value);
        if !expected.into_iter().all(has) {
            return Response { body: Some(json!({ "error": "invalid_grant" })), ..Response::empty(400) };
        }
        let token = access_token(self.issue());
        Response::ok(json!({ "token_type": "Bearer", "access_token": token, "expires_in": 3600, "id_token": "a.b.c" }))
    }

    fn authenticate(&mut self, body: &Value) -> Response {
        let is_right = body["ApplicationToken"] == CLIENT_SECRET
            && body["ContextIdentifier"] == TENANT
            && body["ReturnTokenType"] == "JWT"
            && body["SignedSystemToken"].as_str().is_some_and(|signed| self.is_signed(signed));
        if !is_right {
            return Response::ok(json!({ "IsSuccessful": false, "Token": null, "ErrorMessage": "Not you" }));
        }
        let claims = json!({
            "http://schemes.superoffice.net/identity/ctx": TENANT,
            "http://schemes.superoffice.net/identity/ticket": ticket(self.issue()),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let jwt = format!("{}.{}.c2lnbmF0dXJl", part(&json!({ "alg": "RS256" })), part(&claims));
        Response::ok(json!({ "IsSuccessful": true, "Token": jwt, "ErrorMessage": null }))
    }

    /// Token, minute and signature: signed with the application's key within the last minutes.
    fn is_signed(&self, signed: &str) -> bool {
        let Some((text, signature)) = signed.rsplit_once('.') else { return false };
        let now = self.clock.now();
        let minutes = (0..5).map(|ago| now.plus_seconds(-60 * ago).to_chrono().format("%Y%m%d%H%M").to_string());
        let recent = minutes.into_iter().any(|minute| text == format!("{SYSTEM_USER_TOKEN}.{minute}"));
        let key = rsa::PublicKey::from_public_key_pem(include_str!("key/public.pem")).expect("a key");
        let key = rsa::pkcs1v15::VerifyingKey::<sha2::Sha256>::new(key);
        let signature = STANDARD.decode(signature).unwrap_or_default();
        let signature = rsa::pkcs1v15::Signature::try_from(signature.as_slice());
        recent && signature.is_ok_and(|signature| key.verify(text.as_bytes(), &signature).is_ok())
    }

    /// Why a request to the tenant is not let in.
    pub(super) fn refuses(&mut self, request: &Request) -> Option<Response> {
        if !request.path.starts_with(&format!("/online{}/", self.server)) {
            return Some(Response::fault(421, "MisdirectedRequest"));
        }
        let said = request.header("authorization").unwrap_or_default();
        let bearer = said == format!("Bearer {}", access_token(self.issued));
        let by_ticket =
            said == format!("SOTicket {}", ticket(self.issued)) && request.header("so-apptoken") == Some(CLIENT_SECRET);
        if self.issued == 0 || !(bearer || by_ticket) || self.left == Some(0) {
            return Some(Response::fault(401, "SoSessionException"));
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        if request.header("accept-language").is_none() || request.header("so-timezone") != Some("UTC") {
            return Some(Response::fault(400, "NoLanguageOrTimeZone"));
        }
        None
    }
}

fn access_token(number: u32) -> String {
    format!("8A:{TENANT}.token{number}")
}

fn ticket(number: u32) -> String {
    format!("7T:ticket{number}")
}
