//! For fuzzing only: what is not reachable from outside, as functions over texts.

use async_graphql::{BatchRequest, ID, InputType, Value};
use service::recipients::RecipientFilter;

use crate::graphql::{Key, RecipientFilterInput};

/// The operations in the body of `POST /graphql`; `None` where it is refused.
#[must_use]
pub fn graphql_body(body: &[u8]) -> Option<BatchRequest> {
    crate::graphql_http::parse(body).ok()
}

/// Whether the id of what `text` stands for stands for the same; true for a text that is refused.
#[must_use]
pub fn global_id_leads_back(text: &str) -> bool {
    let id = ID(text.to_owned());
    let audited = Key::audit_object(&id).map_or(true, |object| Key::of_audit(&object) == Key::parse(&id).ok());
    let leads_back = |key: Key| Key::parse(&key.id()).is_ok_and(|again| again == key);
    audited && Key::parse(&id).map_or(true, leads_back) && Key::of_audit(text).is_none_or(leads_back)
}

/// The filter that an argument says; `None` where it is refused.
#[must_use]
pub fn recipient_filter(value: Value) -> Option<RecipientFilter> {
    RecipientFilterInput::parse(Some(value)).ok()?.into_condition().ok()
}
