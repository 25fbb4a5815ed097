//! Which recipients of a campaign are meant: a tree of conditions, and the one place where it becomes SQL.

use domain::status::{RecipientStatus, SkipReason};
use domain::{BounceClass, Timestamp};
use serde::{Deserialize, Serialize};

use super::sql::{Sql, containing};
use crate::crm::people::IS_PERSON;
use crate::error::{Refusal, RefusalCode};
use crate::subject::{Role, Subject};

/// How deep conditions may be nested.
pub const MAX_DEPTH: usize = 8;
/// How many conditions and values a filter may have.
pub const MAX_SIZE: usize = 500;
/// How long a search text may be, in characters.
pub const MAX_SEARCH: usize = 200;

/// A condition on recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientFilter {
    /// All of these hold; so every recipient where there is none.
    All(Vec<Self>),
    /// At least one of these holds; so no recipient where there is none.
    Any(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// The status is one of these.
    Status(Vec<RecipientStatus>),
    /// Not sent, for one of these reasons.
    SkipReason(Vec<SkipReason>),
    /// Failed, and the failure that is shown is of one of these classes.
    BounceClass(Vec<BounceClass>),
    /// Whether a person opened.
    Opened(bool),
    /// Whether a person clicked.
    Clicked(bool),
    /// A person clicked one of these links.
    ClickedLink(Vec<i64>),
    /// Sent before this moment.
    SentBefore(Timestamp),
    /// Sent at this moment or after it.
    SentAfter(Timestamp),
    /// The address is of one of these domains.
    Domain(Vec<String>),
    /// One of these is responsible.
    Owner(Vec<String>),
    /// Whether the CRM knows the person.
    InCrm(bool),
    /// Whether the address was corrected since it last failed.
    Corrected(bool),
    /// Whether the address belongs to a provider's simulator. Without this condition a list leaves them out, as the figures do.
    Simulator(bool),
}

impl Default for RecipientFilter {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl RecipientFilter {
    /// Refuses what is too deep or too large, and what would tell a viewer about persons.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(&self, subject: &Subject) -> Result<(), Refusal> {
        let mut size = 0;
        self.measure(MAX_DEPTH, &mut size)?;
        if size > MAX_SIZE {
            let size = (size, MAX_SIZE, "conditions and values");
            return Err(Refusal::exceeds(&["filter"], "the filter", size, "leave some out, or ask in several steps"));
        }
        if self.is_personal() {
            subject.require(Role::Marketer)?;
        }
        Ok(())
    }

    fn measure(&self, depth: usize, size: &mut usize) -> Result<(), Refusal> {
        let inner = depth.checked_sub(1).ok_or_else(|| {
            let message =
                format!("conditions are nested more than {MAX_DEPTH} deep: join conditions of one kind in one list");
            Refusal::field(RefusalCode::Invalid, &["filter"], message)
        })?;
        *size = size.saturating_add(1 + self.values());
        self.parts().iter().try_for_each(|part| part.measure(inner, size))
    }

    /// The conditions that it is made of.
    fn parts(&self) -> &[Self] {
        match self {
            Self::All(parts) | Self::Any(parts) => parts,
            Self::Not(part) => std::slice::from_ref(part),
            _ => &[],
        }
    }

    /// How many values it lists itself.
    fn values(&self) -> usize {
        match self {
            Self::Status(list) => list.len(),
            Self::SkipReason(list) => list.len(),
            Self::BounceClass(list) => list.len(),
            Self::ClickedLink(list) => list.len(),
            Self::Domain(list) | Self::Owner(list) => list.len(),
            _ => 0,
        }
    }

    fn is_personal(&self) -> bool {
        matches!(self, Self::Domain(_) | Self::Owner(_)) || self.parts().iter().any(Self::is_personal)
    }

    fn names_simulators(&self) -> bool {
        matches!(self, Self::Simulator(_)) || self.parts().iter().any(Self::names_simulators)
    }

    /// The statuses whose recipients it holds for; `None` where it looks at anything but the status.
    #[must_use]
    pub fn statuses(&self) -> Option<Vec<RecipientStatus>> {
        let holds = |status: &RecipientStatus| Some((*status, self.holds_for_status(*status)?));
        let all: Vec<_> = RecipientStatus::ALL.iter().map(holds).collect::<Option<_>>()?;
        Some(all.into_iter().filter_map(|(status, holds)| holds.then_some(status)).collect())
    }

    fn holds_for_status(&self, status: RecipientStatus) -> Option<bool> {
        let each = |parts: &[Self]| parts.iter().map(|part| part.holds_for_status(status)).collect::<Option<Vec<_>>>();
        match self {
            Self::All(parts) => each(parts).map(|holds| holds.into_iter().all(|holds| holds)),
            Self::Any(parts) => each(parts).map(|holds| holds.into_iter().any(|holds| holds)),
            Self::Not(part) => part.holds_for_status(status).map(|holds| !holds),
            Self::Status(list) => Some(list.contains(&status)),
            _ => None,
        }
    }

    /// Whether it only holds for recipients of some statuses, which can be looked up.
    #[must_use]
    pub(crate) fn asks_for_status(&self) -> bool {
        match self {
            Self::Status(_) => true,
            Self::All(parts) => parts.iter().any(Self::asks_for_status),
            _ => false,
        }
    }

    /// Whether it only holds for recipients of one status.
    #[must_use]
    pub(crate) fn asks_for_one_status(&self) -> bool {
        match self {
            Self::Status(list) => list.len() == 1,
            Self::All(parts) => {
                parts.iter().any(Self::asks_for_one_status) && parts.iter().all(Self::is_no_other_status)
            }
            _ => false,
        }
    }

    /// Whether it leaves the choice by status to a condition on one of them.
    fn is_no_other_status(&self) -> bool {
        !self.asks_for_status() || self.asks_for_one_status()
    }

    /// The condition on the recipients of a campaign, as `recipient r`; `by_status` where they are found by way of
    /// `recipient_status s`.
    pub(crate) fn condition(&self, campaign: i64, search: Option<&str>, by_status: bool) -> Sql {
        let mut sql = Sql::new(if by_status { "s.campaign_id = " } else { "r.campaign_id = " });
        sql.bind(campaign);
        if !self.names_simulators() {
            sql.push(" AND NOT r.is_simulator");
        }
        if *self != Self::default() {
            sql.push(" AND ");
            self.lower(&mut sql, if by_status { "s.status" } else { "r.status" });
        }
        if let Some(search) = search {
            sql.push(" AND ");
            lower_search(&mut sql, search);
        }
        sql
    }

    /// Every condition is true or false, never null, so that `NOT` means what it says. The status is the same in `r` and `s`, but only
    /// where it restricts the whole list it can be looked up by the latter.
    fn lower(&self, sql: &mut Sql, status: &str) {
        match self {
            Self::All(parts) => lower_joined(sql, parts, " AND ", "TRUE", status),
            Self::Any(parts) => lower_joined(sql, parts, " OR ", "FALSE", "r.status"),
            Self::Not(part) => {
                sql.push("NOT (");
                part.lower(sql, "r.status");
                sql.push(")");
            }
            Self::Status(list) => lower_in(sql, status, list.iter().map(|status| status.code())),
            Self::SkipReason(list) => {
                lower_in(sql, "COALESCE(r.skip_reason, 0)", list.iter().map(|reason| reason.code()));
            }
            Self::BounceClass(list) => {
                let class = "CASE WHEN r.failure_at IS NULL THEN 0 ELSE COALESCE(r.failure_class, 8) END";
                lower_in(sql, class, list.iter().map(|class| class.code()));
            }
            Self::Opened(opened) => lower_flag(sql, *opened, "r.opens > 0"),
            Self::Clicked(clicked) => lower_flag(sql, *clicked, "r.clicks > 0"),
            Self::ClickedLink(links) => lower_clicked_link(sql, links),
            Self::SentBefore(at) => {
                sql.push("(r.sent_at IS NOT NULL AND r.sent_at < ").bind(at.micros()).push(")");
            }
            Self::SentAfter(at) => {
                sql.push("(r.sent_at IS NOT NULL AND r.sent_at >= ").bind(at.micros()).push(")");
            }
            Self::Domain(list) => lower_in(sql, "r.domain", list.iter().map(|domain| domain_key(domain))),
            Self::Owner(list) => {
                sql.push("(r.owner IS NOT NULL AND ");
                lower_in(sql, "r.owner", list.iter().cloned());
                sql.push(")");
            }
            Self::InCrm(known) => lower_flag(sql, *known, IS_PERSON),
            Self::Corrected(corrected) => lower_flag(sql, *corrected, CORRECTED),
            Self::Simulator(simulator) => lower_flag(sql, *simulator, "r.is_simulator"),
        }
    }
}

/// Whether the address of the recipient `r` was corrected since it last failed; never null.
const CORRECTED: &str = "(r.corrected_at IS NOT NULL AND (r.failure_at IS NULL OR r.corrected_at > r.failure_at))";

/// The domain in the form of the column: lower case and ASCII.
fn domain_key(domain: &str) -> String {
    let key = domain::email::key_of(&format!("x@{}", domain.trim()));
    domain::email::domain_of_key(&key).to_owned()
}

fn lower_joined(sql: &mut Sql, parts: &[RecipientFilter], word: &str, nothing: &str, status: &str) {
    if parts.is_empty() {
        sql.push(nothing);
        return;
    }
    sql.push("(");
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            sql.push(word);
        }
        part.lower(sql, status);
    }
    sql.push(")");
}

fn lower_in<V: Into<sea_orm::Value>>(sql: &mut Sql, expression: &str, mut values: impl ExactSizeIterator<Item = V>) {
    match (values.len(), values.next()) {
        (1, Some(value)) => {
            sql.push(expression).push(" = ").bind(value);
        }
        (_, Some(first)) => {
            sql.push(expression).push(" IN (").bind(first).push(", ").bind_all(values).push(")");
        }
        (_, None) => {
            sql.push("FALSE");
        }
    }
}

fn lower_flag(sql: &mut Sql, wanted: bool, condition: &str) {
    sql.push(if wanted { "(" } else { "NOT (" }).push(condition).push(")");
}

fn lower_clicked_link(sql: &mut Sql, links: &[i64]) {
    sql.push("EXISTS (SELECT 1 FROM click c WHERE c.campaign_id = r.campaign_id AND c.recipient = r.number AND c.verdict = 0 AND ");
    lower_in(sql, "c.link_id", links.iter().copied());
    sql.push(")");
}

/// The text stands in the address, the name or the company.
///
/// SQLite folds the case of ASCII letters only, and so does PostgreSQL in some locales: for other letters both cases of the
/// text are tried.
fn lower_search(sql: &mut Sql, search: &str) {
    let small = search.to_lowercase();
    let mut patterns = vec![containing(&small)];
    if !small.is_ascii() {
        let large =
            |letter: char| if letter.is_ascii() { letter.to_string() } else { letter.to_uppercase().to_string() };
        patterns.push(containing(&small.chars().map(large).collect::<String>()));
        patterns.push(containing(&search.chars().map(|letter| letter.to_ascii_lowercase()).collect::<String>()));
        patterns.dedup();
    }
    sql.push("(");
    for (index, pattern) in patterns.iter().enumerate() {
        for (place, column) in ["r.email", "COALESCE(r.name, '')", "COALESCE(r.company, '')"].into_iter().enumerate() {
            sql.push(if index + place > 0 { " OR lower(" } else { "lower(" }).push(column).push(") LIKE ");
            sql.bind(pattern.clone()).push(" ESCAPE '\\'");
        }
    }
    sql.push(")");
}

/// A search text as it is looked for; `None` where it is empty.
///
/// # Errors
/// A refusal where it is too long, or would tell a viewer about persons.
pub fn check_search(search: Option<&str>, subject: &Subject) -> Result<Option<String>, Refusal> {
    let Some(text) = search.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    subject.require(Role::Marketer)?;
    let length = text.chars().count();
    if length > MAX_SEARCH {
        let size = (length, MAX_SEARCH, "characters");
        return Err(Refusal::exceeds(&["search"], "the search text", size, "search for a part of it"));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
