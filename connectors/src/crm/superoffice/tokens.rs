//! What lets us in: an access token for an hour, or a ticket for as long as it is used.
//!
//! Either is kept in memory and for the other processes, used until it is refused or over, and renewed by one at a time.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Clock;
use domain::crm::{CrmError, Token, TokenStore, Trouble};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;

use super::failure;
use super::settings::{Credentials, Settings, SettingsError};
use super::system_user::SigningKey;
use super::transport::{Reply, Transport};

/// A token that ends within so many seconds is not used any more.
const MARGIN: i64 = 60;
/// The claim of the answer's JWT that holds the ticket.
const TICKET: &str = "http://schemes.superoffice.net/identity/ticket";
/// And the one that says for which tenant it is.
const CONTEXT: &str = "http://schemes.superoffice.net/identity/ctx";

/// Gives out the token of the moment.
pub(super) struct Tokens {
    way: Way,
    login_url: Url,
    tenant: String,
    client_id: String,
    client_secret: String,
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    /// Held while a token is renewed: whoever needs one meanwhile waits for it.
    current: Mutex<Option<Held>>,
}

/// A token, and how we came by it.
#[derive(Clone)]
pub(super) struct Held {
    token: Token,
    /// Another process kept it, so that SuperOffice may have ended it long ago; else it was given to this one.
    pub(super) is_kept: bool,
}

enum Way {
    Refresh(String),
    System { token: String, key: Box<SigningKey> },
}

#[derive(Deserialize)]
struct AccessToken {
    access_token: String,
    expires_in: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SystemAnswer {
    is_successful: bool,
    token: Option<String>,
}

impl Tokens {
    pub(super) fn new(
        settings: &Settings,
        store: Arc<dyn TokenStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingsError> {
        let way = match &settings.credentials {
            Credentials::RefreshToken(token) => Way::Refresh(token.clone()),
            Credentials::SystemUser { token, private_key } => {
                let key = SigningKey::from_pem(private_key).ok_or(SettingsError::PrivateKey)?;
                Way::System { token: token.clone(), key: Box::new(key) }
            }
        };
        Ok(Self {
            way,
            login_url: settings.login_url.clone(),
            tenant: settings.tenant.clone(),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            store,
            clock,
            current: Mutex::new(None),
        })
    }

    /// The token to be used now.
    pub(super) async fn current(&self, transport: &Transport) -> Result<Held, CrmError> {
        let mut current = self.current.lock().await;
        if let Some(held) = current.as_ref().filter(|held| self.is_good(&held.token)) {
            return Ok(held.clone());
        }
        self.replace(&mut current, None, transport).await
    }

    /// SuperOffice refused this token: another one is fetched, unless that has been done meanwhile.
    pub(super) async fn renew(&self, refused: &Held, transport: &Transport) -> Result<(), CrmError> {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|held| held.token.secret != refused.token.secret) {
            return Ok(());
        }
        self.replace(&mut current, Some(refused), transport).await.map(drop)
    }

    async fn replace(
        &self,
        current: &mut Option<Held>,
        refused: Option<&Held>,
        transport: &Transport,
    ) -> Result<Held, CrmError> {
        let name = self.name();
        let kept = self.store.get(&name).await.filter(|token| self.is_good(token));
        if let Some(token) = kept.filter(|token| refused.is_none_or(|refused| refused.token.secret != token.secret)) {
            return Ok(current.insert(Held { token, is_kept: true }).clone());
        }
        let token = match &self.way {
            Way::Refresh(refresh_token) => self.refresh(refresh_token, transport).await?,
            Way::System { token, key } => self.authenticate(token, key, transport).await?,
        };
        self.store.put(&name, &token).await;
        tracing::debug!(tenant = self.tenant, "SuperOffice gave a new token");
        Ok(current.insert(Held { token, is_kept: false }).clone())
    }

    /// With a request what shows who we are.
    pub(super) fn authorize(&self, request: RequestBuilder, held: &Held) -> RequestBuilder {
        let secret = &held.token.secret;
        match self.way {
            Way::Refresh(_) => request.bearer_auth(secret),
            Way::System { .. } => {
                request.header("authorization", format!("SOTicket {secret}")).header("so-apptoken", &self.client_secret)
            }
        }
    }

    fn name(&self) -> String {
        let kind = if matches!(self.way, Way::Refresh(_)) { "access token" } else { "ticket" };
        format!("superoffice {kind} {} {}", self.tenant, self.client_id)
    }

    fn is_good(&self, token: &Token) -> bool {
        token.expires_at.is_none_or(|end| self.clock.now().plus_seconds(MARGIN) < end)
    }

    async fn refresh(&self, refresh_token: &str, transport: &Transport) -> Result<Token, CrmError> {
        let asked_at = self.clock.now();
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", &self.client_secret),
            ("refresh_token", refresh_token),
        ];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = transport
            .http
            .post(self.at("login/common/oauth/tokens")?)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let refusal = "SuperOffice does not accept crm.superoffice.refresh_token with this client_id and client_secret: consent may \
            have been withdrawn";
        let body = ask(request, transport, refusal).await?;
        let answer: AccessToken = serde_json::from_slice(&body).map_err(|_| unreadable())?;
        let expires_at = answer.expires_in.map(|seconds| asked_at.plus_seconds(seconds));
        Ok(Token { secret: answer.access_token, expires_at })
    }

    async fn authenticate(&self, token: &str, key: &SigningKey, transport: &Transport) -> Result<Token, CrmError> {
        let signed = key.sign(token, self.clock.now());
        let signed =
            signed.ok_or_else(|| CrmError::NoAccess("crm.superoffice.private_key signs nothing".to_owned()))?;
        let request = transport.http.post(self.at("Login/api/PartnerSystemUser/Authenticate")?).json(&json!({
            "SignedSystemToken": signed,
            "ApplicationToken": self.client_secret,
            "ContextIdentifier": self.tenant,
            "ReturnTokenType": "JWT",
        }));
        let refusal = "SuperOffice does not let the system user in: see crm.superoffice.system_user_token, private_key, client_secret \
            and tenant, and the machine's clock";
        let body = ask(request, transport, refusal).await?;
        let answer: SystemAnswer = serde_json::from_slice(&body).map_err(|_| unreadable())?;
        let jwt = answer.token.filter(|_| answer.is_successful);
        let jwt = jwt.ok_or_else(|| CrmError::NoAccess(refusal.to_owned()))?;
        let ticket = ticket(&jwt, &self.tenant).ok_or_else(unreadable)?;
        // Each use makes it last longer, so nobody knows when it ends: it is used until it is refused.
        Ok(Token { secret: ticket, expires_at: None })
    }

    fn at(&self, path: &str) -> Result<Url, CrmError> {
        let base = self.login_url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}"))
            .map_err(|_| CrmError::NoAccess("crm.superoffice.login_url is no URL".to_owned()))
    }
}

/// Asks for a token. Asking twice does no harm, so nothing has happened where it fails.
async fn ask(request: RequestBuilder, transport: &Transport, refusal: &str) -> Result<Vec<u8>, CrmError> {
    let request = request.build().map_err(|error| unavailable(error.without_url()))?;
    let Reply { status, retry_after, body } =
        transport.exchange(request).await.map_err(|failure| failure.into_error(false))?;
    match status {
        _ if status.is_success() => Ok(body),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            let source = format!("its login answered with the status {}", status.as_u16());
            let source = failure::trouble(status, retry_after).because(source);
            Err(CrmError::Unavailable { source, may_have_happened: false, retry_after })
        }
        _ if status.is_client_error() => Err(CrmError::NoAccess(refusal.to_owned())),
        _ => {
            let source = format!("its login answered with the status {}", status.as_u16());
            let source = failure::trouble(status, retry_after).because(source);
            Err(CrmError::Unavailable { source, may_have_happened: false, retry_after })
        }
    }
}

fn unavailable(error: reqwest::Error) -> CrmError {
    CrmError::Unavailable { source: error.into(), may_have_happened: false, retry_after: None }
}

fn unreadable() -> CrmError {
    let source = Trouble::Unreadable.because("its login answered with something else than a token");
    CrmError::Unavailable { source, may_have_happened: false, retry_after: None }
}

/// The ticket in a JWT that came straight from the login over TLS, which shows whose it is (OpenID Connect Core, 3.1.3.7, point 6);
/// `None` where there is none, or it is another tenant's.
fn ticket(jwt: &str, tenant: &str) -> Option<String> {
    let payload = jwt.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()?;
    let is_ours =
        claims.get(CONTEXT).and_then(Value::as_str).is_none_or(|context| context.eq_ignore_ascii_case(tenant));
    let ticket = claims.get(TICKET)?.as_str()?;
    (is_ours && !ticket.is_empty()).then(|| ticket.to_owned())
}
