//! Which addresses are meant, and how that is said in SQL.

use domain::Timestamp;
use domain::email::{domain_of_key, key_of};
use domain::health::{AddressHealth, BlockReason};
use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::recipients::filter::check_search;
use crate::recipients::sql::{Sql, containing, escape_like};
use crate::subject::{Role, Subject};

/// How many values a list of a filter may have.
const MAX_VALUES: usize = 500;

/// Which addresses. What is empty restricts nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AddressFilter {
    /// In one of these conditions; empty: in any.
    pub health: Vec<AddressHealth>,
    /// Blocked for one of these reasons; empty: for any, or not blocked. Addresses that were taken out of use are only found by
    /// their reason.
    pub reasons: Vec<BlockReason>,
    /// Of one of these domains; empty: of any. Not for viewers.
    pub domains: Vec<String>,
    /// With this text in the address. Not for viewers.
    pub search: Option<String>,
    /// Blocked at this moment or after it.
    pub blocked_since: Option<Timestamp>,
    /// Blocked before this moment.
    pub blocked_until: Option<Timestamp>,
    /// Whether their users have withdrawn their consent by a complaint.
    pub consent_withdrawn: Option<bool>,
}

impl Default for AddressFilter {
    fn default() -> Self {
        Self {
            health: vec![AddressHealth::Blocked],
            reasons: Vec::new(),
            domains: Vec::new(),
            search: None,
            blocked_since: None,
            blocked_until: None,
            consent_withdrawn: None,
        }
    }
}

/// Refuses what is too long, and what would tell a viewer about persons.
///
/// # Errors
/// The refusal.
pub(crate) fn check(filter: &AddressFilter, subject: &Subject) -> Result<(), Refusal> {
    if !filter.domains.is_empty() {
        subject.require(Role::Marketer)?;
    }
    check_search(filter.search.as_deref(), subject)?;
    if filter.domains.len() > MAX_VALUES {
        let size = (filter.domains.len(), MAX_VALUES, "domains");
        return Err(Refusal::exceeds(&["filter", "domain"], "the filter", size, "ask in several steps"));
    }
    Ok(())
}

impl AddressFilter {
    /// Whether it can only find blocked addresses.
    pub(crate) fn is_of_blocked(&self) -> bool {
        self.health == [AddressHealth::Blocked]
    }
}

/// The condition on `address a`; never empty.
pub(crate) fn condition(filter: &AddressFilter) -> Sql {
    // Said by literals, the planner sees that the indexes of blocked addresses serve.
    let mut sql = Sql::new(if filter.is_of_blocked() { "a.health = 3 AND a.health > 1" } else { "TRUE" });
    if !filter.is_of_blocked() && !filter.health.is_empty() {
        sql.push(" AND a.health IN (").bind_all(filter.health.iter().map(|health| health.code())).push(")");
    }
    if filter.reasons.is_empty() {
        sql.push(" AND a.deleted_at IS NULL");
    } else {
        sql.push(" AND a.block_reason IN (").bind_all(filter.reasons.iter().map(|reason| reason.code())).push(")");
    }
    if !filter.domains.is_empty() {
        push_domains(&mut sql, &filter.domains);
    }
    if let Some(search) = filter.search.as_deref().map(str::trim).filter(|search| !search.is_empty()) {
        // Keys are in lower case, whatever the address looked like.
        sql.push(" AND a.email_key LIKE ").bind(containing(&search.to_lowercase())).push(" ESCAPE '\\'");
    }
    if let Some(since) = filter.blocked_since {
        sql.push(" AND a.blocked_at >= ").bind(since.micros());
    }
    if let Some(until) = filter.blocked_until {
        sql.push(" AND a.blocked_at < ").bind(until.micros());
    }
    if let Some(withdrawn) = filter.consent_withdrawn {
        sql.push(if withdrawn { " AND " } else { " AND NOT " });
        sql.push("COALESCE(a.last_complained_at > COALESCE(a.consent_given_at, a.last_complained_at - 1), FALSE)");
    }
    sql
}

fn push_domains(condition: &mut Sql, domains: &[String]) {
    condition.push(" AND (");
    for (index, domain) in domains.iter().enumerate() {
        let key = key_of(&format!("x@{}", domain.trim()));
        condition.push(if index > 0 { " OR a.email_key LIKE " } else { "a.email_key LIKE " });
        condition.bind(format!("%@{}", escape_like(domain_of_key(&key)))).push(" ESCAPE '\\'");
    }
    condition.push(")");
}
