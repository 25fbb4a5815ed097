//! Sign-ins that were refused: in the log, and in the audit log without letting an attacker fill it.
//!
//! An hour has one entry for each account, network and reason, and at most [`MAX_ENTRIES`]; what comes beyond them shares one more.
//! Entries count on while their hour lasts: exactly at first, then at each doubling, so that a flood costs no flood of writes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::{Timestamp, email};
use serde_json::{Value, json};

use super::sign_in::Attempt;
use crate::access::Services;
use crate::audit;
use crate::error::{Causes, Result};
use crate::subject::Subject;

/// Entries that one process adds in an hour.
const MAX_ENTRIES: usize = 240;
/// Up to so many attempts the count in an entry is exact.
const EXACT: u64 = 16;
const HOUR: i64 = 3_600;

/// Why a sign-in was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The address or the password is wrong.
    Credentials,
    /// The user is disabled. The password was right.
    Disabled,
    /// The code of the second factor is wrong or was used before. The password was right.
    Code,
    /// The installation asks admins for a second factor, and this one has none. The password was right.
    NoSecondFactor,
    /// There were too many attempts; nothing was looked at.
    TooMany,
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Disabled => "disabled",
            Self::Code => "code",
            Self::NoSecondFactor => "no second factor",
            Self::TooMany => "too many attempts",
        }
    }
}

/// What shares an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    One { account: String, network: String, reason: Reason },
    Others,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    attempts: u64,
    /// The row, once it is written.
    entry: Option<i64>,
    is_being_written: bool,
}

/// What was refused in the present hour.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Hour>);

#[derive(Default)]
struct Hour {
    number: i64,
    counts: HashMap<Key, Count>,
}

/// What is to be done about a refusal.
#[derive(Debug, PartialEq, Eq)]
enum Write {
    Insert(Key, u64),
    Update(i64, Key, u64),
    Nothing,
}

impl Refusals {
    fn with<T>(&self, work: impl FnOnce(&mut Hour) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, key: Key, now: Timestamp) -> Write {
        self.with(|hour| {
            let number = now.seconds().div_euclid(HOUR);
            if hour.number != number {
                *hour = Hour { number, ..Hour::default() };
            }
            let is_listed = hour.counts.contains_key(&key) || hour.counts.len() < MAX_ENTRIES;
            let key = if is_listed { key } else { Key::Others };
            let count = hour.counts.entry(key.clone()).or_default();
            count.attempts = count.attempts.saturating_add(1);
            let is_due = count.attempts <= EXACT || count.attempts.is_power_of_two();
            match count.entry {
                Some(entry) if is_due => Write::Update(entry, key, count.attempts),
                None if !count.is_being_written => {
                    count.is_being_written = true;
                    Write::Insert(key, count.attempts)
                }
                _ => Write::Nothing,
            }
        })
    }

    fn written(&self, key: &Key, entry: Option<i64>) {
        self.with(|hour| {
            if let Some(count) = hour.counts.get_mut(key) {
                count.entry = entry;
                count.is_being_written = false;
            }
        });
    }
}

fn object(key: &Key) -> String {
    match key {
        Key::One { account, .. } => format!("account:{account}"),
        Key::Others => "account:others".to_owned(),
    }
}

fn detail(key: &Key, attempts: u64) -> Value {
    match key {
        Key::One { network, reason, .. } => {
            json!({ "network": network, "reason": reason.name(), "attempts": attempts })
        }
        Key::Others => json!({ "attempts": attempts }),
    }
}

impl Services {
    /// Logs and audits a sign-in that was refused. A failure to do so is logged, and refuses nothing that would not be refused anyway.
    pub async fn note_refused_sign_in(&self, attempt: &Attempt<'_>, reason: Reason) {
        let account = self.accounts.account_hash(&email::key_of(attempt.email));
        let network = attempt.network.to_string();
        tracing::warn!(account, network, reason = reason.name(), "sign-in refused");
        let (services, key) = (self.clone(), Key::One { account, network, reason });
        // In a task of its own: whoever hangs up early is audited all the same.
        let audited = tokio::spawn(async move {
            if let Err(error) = services.audit_refusal(key).await {
                tracing::warn!(error = %Causes(&error), "auditing a refused sign-in failed");
            }
        });
        audited.await.ok();
    }

    async fn audit_refusal(&self, key: Key) -> Result<()> {
        let now = self.now();
        match self.accounts.refusals.count(key, now) {
            Write::Nothing => {}
            Write::Update(entry, key, attempts) => {
                audit::amend(self.db.write(), entry, &detail(&key, attempts)).await?;
            }
            Write::Insert(key, attempts) => {
                let detail = detail(&key, attempts);
                let by = Subject::anonymous();
                let entry = audit::insert(self.db.write(), now, &by, "session.refused", object(&key), &detail);
                let entry = entry.await;
                self.accounts.refusals.written(&key, entry.as_ref().ok().copied());
                entry?;
            }
        }
        Ok(())
    }

    /// How logs and the audit log name the account with this address: `account:…`.
    #[must_use]
    pub fn account_name(&self, email: &str) -> String {
        format!("account:{}", self.accounts.account_hash(&email::key_of(email)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(account: usize) -> Key {
        Key::One { account: account.to_string(), network: "192.0.2.0/24".to_owned(), reason: Reason::Credentials }
    }

    #[test]
    fn a_flood_on_one_account_writes_little() {
        let refusals = Refusals::default();
        let now = Timestamp::from_seconds(7_200);
        assert_eq!(refusals.count(key(1), now), Write::Insert(key(1), 1));
        assert_eq!(refusals.count(key(1), now), Write::Nothing, "the row is being written");
        refusals.written(&key(1), Some(7));
        let mut written = Vec::new();
        for _ in 3..=100_000 {
            if let Write::Update(7, _, attempts) = refusals.count(key(1), now) {
                written.push(attempts);
            }
        }
        assert_eq!(written.len(), 14 + 12);
        assert_eq!((written.first(), written.last()), (Some(&3), Some(&65_536)));
    }

    #[test]
    fn a_flood_of_accounts_shares_an_entry_and_a_new_hour_begins_anew() {
        let refusals = Refusals::default();
        let now = Timestamp::from_seconds(7_200);
        let mut inserted = 0;
        for number in 0..10_000 {
            if let Write::Insert(key, _) = refusals.count(key(number), now) {
                inserted += 1;
                refusals.written(&key, Some(1));
            }
        }
        assert_eq!(inserted, MAX_ENTRIES + 1);
        assert_eq!(refusals.with(|hour| hour.counts.len()), MAX_ENTRIES + 1);
        assert_eq!(refusals.count(key(1), now.plus_seconds(HOUR)), Write::Insert(key(1), 1));
    }

    #[test]
    fn a_row_that_could_not_be_written_is_tried_again() {
        let refusals = Refusals::default();
        let now = Timestamp::from_seconds(0);
        assert_eq!(refusals.count(key(1), now), Write::Insert(key(1), 1));
        refusals.written(&key(1), None);
        assert_eq!(refusals.count(key(1), now), Write::Insert(key(1), 2));
    }
}
