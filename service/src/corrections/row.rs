//! Corrections on their way into the table, many in one statement.

use domain::correction::{PushState, SuggestionReason};
use domain::email::{EmailAddress, domain_of_key};

use crate::batch::{Batch, Column};

/// The columns of both addresses, as they stand in both the table and the batch.
pub(super) const ADDRESSES: &str = "old_email, old_key, old_domain, new_email, new_key, new_domain";

const COLUMNS: &[(&str, Column)] = &[
    ("id", Column::Big),
    ("old_email", Column::Text),
    ("old_key", Column::Text),
    ("old_domain", Column::Text),
    ("new_email", Column::Text),
    ("new_key", Column::Text),
    ("new_domain", Column::Text),
    ("person_id", Column::Big),
    ("reason", Column::Text),
    ("push", Column::Small),
    ("suggestion", Column::Small),
    ("confidence", Column::Small),
];

/// A correction to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct CorrectionRow<'a> {
    /// Which one, where it is there already.
    pub id: Option<i64>,
    /// The address that is wrong, as it is written.
    pub old_email: &'a str,
    /// Its key.
    pub old_key: &'a str,
    /// The address instead.
    pub new: &'a EmailAddress,
    /// Whose it is.
    pub person: Option<i64>,
    /// What people said about it.
    pub reason: Option<&'a str>,
    /// What is to become of it in the CRM.
    pub push: PushState,
    /// Why it is suggested, and how sure that is.
    pub suggestion: Option<(SuggestionReason, u8)>,
}

/// A batch of such rows.
pub(super) fn batch() -> Batch {
    Batch::new(COLUMNS)
}

impl CorrectionRow<'_> {
    /// Adds it to a batch of [`batch`].
    pub(super) fn push_to(self, batch: &mut Batch) {
        let (suggestion, confidence) = self.suggestion.unzip();
        batch.push([
            self.id.into(),
            self.old_email.into(),
            self.old_key.into(),
            domain_of_key(self.old_key).into(),
            self.new.as_str().into(),
            self.new.key().into(),
            self.new.domain().into(),
            self.person.into(),
            self.reason.map(str::to_owned).into(),
            self.push.code().into(),
            suggestion.map(SuggestionReason::code).into(),
            confidence.map(i16::from).into(),
        ]);
    }
}
