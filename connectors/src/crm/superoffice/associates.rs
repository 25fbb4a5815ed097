//! Who works with SuperOffice, as far as owners of persons go.

use std::collections::HashMap;
use std::sync::Arc;

use domain::crm::{CrmError, Owner};
use domain::{Clock, Timestamp};
use serde_json::Value;
use tokio::sync::Mutex;

use super::client::{Call, Client};
use super::values::Row;

/// For how many seconds the list is good.
const GOOD_FOR: i64 = 600;

/// The users of the tenant, read once in a while.
pub(super) struct Associates {
    clock: Arc<dyn Clock>,
    known: Mutex<Option<(Timestamp, Arc<Active>)>>,
}

/// The names of those who are there, by their ids.
pub(super) struct Active(HashMap<i64, String>);

impl Active {
    /// The owner with this id; `name` where the list does not know it any more.
    pub(super) fn owner(&self, id: i64, name: Option<String>) -> Owner {
        let (known, is_active) = (self.0.get(&id), self.0.contains_key(&id));
        let name = name.or_else(|| known.cloned()).unwrap_or_else(|| id.to_string());
        Owner { id: id.to_string(), name, is_active }
    }
}

impl Associates {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, known: Mutex::new(None) }
    }

    /// Those who are there.
    pub(super) async fn active(&self, client: &Client) -> Result<Arc<Active>, CrmError> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        if let Some((_, active)) = known.as_ref().filter(|(read_at, _)| now < read_at.plus_seconds(GOOD_FOR)) {
            return Ok(active.clone());
        }
        let answer = client.json(&Call::get("MDOList/associate")).await?;
        let active = Arc::new(Active(understand(&answer)));
        *known = Some((now, active.clone()));
        Ok(active)
    }
}

/// The list's items, with those left out that are marked as deleted. To be verified on a tenant: whether it holds these at all.
fn understand(answer: &Value) -> HashMap<i64, String> {
    let items = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let items = items.iter().map(Row).filter(|item| item.flag("Deleted") != Some(true));
    items.filter_map(|item| Some((item.id("Id")?, item.text("Name")?))).collect()
}
