//! For fuzzing only: what is not reachable from outside, as functions over texts and bytes.

use std::io::Cursor;

use crate::accounts;
use crate::addresses::filter::condition;
use crate::crm::tokens::TokenKey;
use crate::exports::links::LinkKey;
use crate::import::columns::Columns;
use crate::import::records::{Content, Format, Records};
use crate::recipients::sql::Sql;

pub use crate::addresses::AddressFilter;
use crate::recipients::RecipientFilter;

/// A condition as the database gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its text.
    pub text: String,
    /// How many values are bound.
    pub values: usize,
}

impl From<Sql> for Statement {
    fn from(sql: Sql) -> Self {
        let (text, values) = sql.into_parts();
        Self { text, values: values.len() }
    }
}

/// The condition on recipients of a campaign.
#[must_use]
pub fn recipient_condition(filter: &RecipientFilter, search: Option<&str>, by_status: bool) -> Statement {
    filter.condition(1, search, by_status).into()
}

/// The condition on addresses.
#[must_use]
pub fn address_condition(filter: &AddressFilter) -> Statement {
    condition(filter).into()
}

/// How the database knows the secret of a session or token; `None` for what cannot be one.
#[must_use]
pub fn secret_hash(secret: &str) -> Option<String> {
    accounts::secret_hash(secret)
}

/// What a file says.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// The keys of the recipients' addresses.
    pub rows: Vec<String>,
    /// How many records say nothing about anybody.
    pub issues: usize,
    /// The lines that records begin on.
    pub lines: Vec<i64>,
}

/// Reads a file of recipients; `None` where it is refused.
#[must_use]
pub fn read_recipients(bytes: Vec<u8>, format: Option<Format>) -> Option<Read> {
    let mut records = Records::open(Box::new(Cursor::new(bytes)), format, u64::MAX).ok()?;
    let columns = match records.format() {
        Format::Csv => match records.next().ok()??.content {
            Ok(Content::Cells(cells)) => Columns::of_header(&cells, Default::default()).ok()?,
            _ => return None,
        },
        Format::JsonLines => Columns::of_objects(Default::default()),
    };
    let mut read = Read::default();
    while let Some(record) = records.next().ok()? {
        read.lines.push(record.line);
        match columns.read(record) {
            Ok(row) => read.rows.push(row.email_key),
            Err(_) => read.issues += 1,
        }
    }
    Some(read)
}

/// Seals tokens of the CRM.
pub struct Tokens(TokenKey);

impl Tokens {
    /// With this secret of an installation.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(TokenKey::derive(secret))
    }

    /// As it is stored; empty where it cannot be sealed.
    #[must_use]
    pub fn seal(&self, name: &str, secret: &str) -> Vec<u8> {
        self.0.seal(name, secret).unwrap_or_default()
    }

    /// What is stored under this name.
    #[must_use]
    pub fn open(&self, name: &str, sealed: &[u8]) -> Option<String> {
        self.0.open(name, sealed)
    }
}

/// Signs links to files.
pub struct Links(LinkKey);

impl Links {
    /// With this secret of an installation.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(LinkKey::derive(secret))
    }

    /// The signature of a link; empty where it cannot be signed.
    #[must_use]
    pub fn sign(&self, id: &str, expires: i64) -> String {
        self.0.sign(id, expires).unwrap_or_default()
    }

    /// Whether a signature fits.
    #[must_use]
    pub fn verify(&self, id: &str, expires: i64, signature: &str) -> bool {
        self.0.verify(id, expires, signature)
    }
}
