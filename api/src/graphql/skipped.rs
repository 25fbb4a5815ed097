//! What a job left out, and why.

use async_graphql::{Context, Object};
use service::skipped::Skipped;

use super::errors::Result;
use super::loaders::{AddressId, loaders};
use super::scalars::int;
use super::schema::access;

/// Things that were left out for the same reason.
pub struct SkippedCount {
    skipped: Skipped,
    examples: Examples,
}

/// What the ids of the examples are those of.
#[derive(Clone, Copy, Debug)]
pub enum Examples {
    /// Addresses.
    Addresses,
}

impl SkippedCount {
    /// What a job wrote down.
    pub(super) fn list(skipped: &[Skipped], examples: Examples) -> Vec<Self> {
        skipped.iter().map(|skipped| Self { skipped: skipped.clone(), examples }).collect()
    }
}

/// Things that were left out for the same reason.
#[Object]
impl SkippedCount {
    /// The reason, a word in capitals such as `FORMER_EMPLOYEE`.
    async fn reason(&self) -> &str {
        &self.skipped.reason
    }

    /// How many they are.
    async fn count(&self) -> i32 {
        int(self.skipped.count)
    }

    /// The addresses of a few of them; none for those who may not see personal data.
    async fn examples(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        if !access(ctx)?.subject().sees_personal_data() {
            return Ok(Vec::new());
        }
        match self.examples {
            Examples::Addresses => {
                let ids = self.skipped.examples.iter().filter_map(|id| id.parse().ok().map(AddressId));
                let found = loaders(ctx)?.load_many(ids).await?;
                let mut emails: Vec<String> = found.into_values().map(|address| address.email).collect();
                emails.sort_unstable();
                Ok(emails)
            }
        }
    }
}
