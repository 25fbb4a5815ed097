//! The budget that the operations of a batch share: otherwise ten operations could ask for ten times as much as one. And what a single
//! operation asks for, where it is refused for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation};
use async_graphql::{ServerError, ValidationResult, async_trait};

use super::limits::{MAX_COMPLEXITY, exceeds};

/// What the operations of a batch have asked for so far; each brings a clone in its data.
#[derive(Clone, Default)]
pub struct Budget(Arc<AtomicUsize>);

/// Takes what an operation asks for from the budget that it brings.
pub struct BudgetOfBatch;

impl ExtensionFactory for BudgetOfBatch {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for BudgetOfBatch {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await?;
        let Some(Budget(spent)) = ctx.data_opt::<Budget>() else { return Ok(result) };
        let before = spent.fetch_add(result.complexity, Ordering::Relaxed);
        let complexity = before.saturating_add(result.complexity);
        if complexity <= MAX_COMPLEXITY {
            return Ok(result);
        }
        let what = format_args!("the operations of this batch up to this one have a complexity of {complexity}");
        Err(vec![exceeds(what, MAX_COMPLEXITY, "send fewer of them at once")])
    }
}

/// Refuses every operation, and states its complexity: for one of which it is known already that it is too complex.
pub struct TooComplex;

impl ExtensionFactory for TooComplex {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for TooComplex {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let complexity = next.run(ctx).await?.complexity;
        let remedy = "ask for fewer rows at once (first) or fewer fields of each; nested pages multiply";
        Err(vec![exceeds(format_args!("this has a complexity of {complexity}"), MAX_COMPLEXITY, remedy)])
    }
}
