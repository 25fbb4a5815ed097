//! Where a tenant is at the moment: its host changes, and is never kept for long.

use std::sync::Arc;

use domain::crm::{CrmError, Trouble};
use domain::{Clock, Timestamp};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::failure;
use super::settings::Settings;
use super::transport::Transport;
use super::values;

/// For how long an answer is good, in seconds, where SuperOffice does not say it, and at least and at most.
const USUALLY: i64 = 600;
const AT_LEAST: i64 = 30;
const AT_MOST: i64 = 86_400;
/// After so many seconds a tenant that does not run is looked at again.
const AGAIN: u32 = 300;

/// Where the tenant is.
pub(super) struct Tenant {
    login_url: Url,
    name: String,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<Known>>,
}

struct Known {
    api: Url,
    until: Timestamp,
}

impl Tenant {
    pub(super) fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        let (login_url, name) = (settings.login_url.clone(), settings.tenant.clone());
        Self { login_url, name, clock, known: Mutex::new(None) }
    }

    /// The URL that those of its API begin with.
    pub(super) async fn api(&self, transport: &Transport) -> Result<Url, CrmError> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| self.clock.now() < known.until) {
            return Ok(known.api.clone());
        }
        let found = self.ask(transport).await?;
        Ok(known.insert(found).api.clone())
    }

    /// It is not there any more.
    pub(super) async fn moved(&self, from: &Url) {
        let mut known = self.known.lock().await;
        if known.as_ref().is_some_and(|known| known.api == *from) {
            *known = None;
        }
    }

    async fn ask(&self, transport: &Transport) -> Result<Known, CrmError> {
        let url = format!("{}/api/state/{}", self.login_url.as_str().trim_end_matches('/'), self.name);
        let request = transport.http.get(url).header("accept", "application/json").build();
        let request = request.map_err(|error| unavailable(error.without_url().to_string()))?;
        let reply = transport.exchange(request).await.map_err(|failure| failure.into_error(false))?;
        let problem = match reply.status {
            StatusCode::OK => return self.understand(&reply.body, transport),
            StatusCode::NOT_FOUND => {
                return Err(CrmError::NoAccess(format!("SuperOffice knows no tenant {}", self.name)));
            }
            status => format!("it answered with the status {} when asked where the tenant is", status.as_u16()),
        };
        let source = failure::trouble(reply.status, reply.retry_after).because(problem);
        Err(CrmError::Unavailable { source, may_have_happened: false, retry_after: reply.retry_after })
    }

    fn understand(&self, body: &[u8], transport: &Transport) -> Result<Known, CrmError> {
        let state: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| state.get(name).and_then(Value::as_str);
        if state.get("IsRunning").and_then(Value::as_bool) != Some(true) {
            return Err(self.at_rest(&state));
        }
        let api = text("Api").map(str::to_owned).or_else(|| text("Endpoint").map(|url| format!("{url}/api")));
        let api = api.and_then(|url| Url::parse(&url).ok());
        let api = api.ok_or_else(|| unavailable("it does not say where the tenant is".to_owned()))?;
        transport
            .check(&api)
            .map_err(|why| CrmError::NoAccess(format!("SuperOffice says that the tenant is elsewhere: {why}")))?;
        let now = self.clock.now();
        let until = text("ValidUntil").and_then(values::time).unwrap_or_else(|| now.plus_seconds(USUALLY));
        let until = until.clamp(now.plus_seconds(AT_LEAST), now.plus_seconds(AT_MOST));
        Ok(Known { api, until })
    }

    /// Why a tenant that does not run cannot be reached: for now, or for good.
    fn at_rest(&self, state: &Value) -> CrmError {
        let said = match state.get("State") {
            Some(Value::String(name)) => name.chars().filter(char::is_ascii_alphanumeric).take(40).collect(),
            Some(Value::Number(code)) => format!("state {code}"),
            _ => "state unknown".to_owned(),
        };
        if matches!(said.as_str(), "Deleted" | "state 3" | "Deleting" | "state 10") {
            return CrmError::NoAccess(format!("the tenant {} has been deleted", self.name));
        }
        let source = at_rest(&said).because(format!("the tenant does not run ({said})"));
        CrmError::Unavailable { source, may_have_happened: false, retry_after: Some(AGAIN) }
    }
}

/// What a state means in which a tenant does not run; some versions write its number.
fn at_rest(state: &str) -> Trouble {
    match state {
        "Suspended" | "state 4" => Trouble::Suspended,
        "OnlineMaintenance" | "state 5" | "OfflineMaintenance" | "state 6" | "MigrationPending" | "state 12" => {
            Trouble::Maintenance
        }
        _ => Trouble::AtRest,
    }
}

fn unavailable(problem: String) -> CrmError {
    CrmError::Unavailable { source: Trouble::Unreadable.because(problem), may_have_happened: false, retry_after: None }
}
