//! The budget that the operations of a batch share: otherwise ten operations could ask for ten times as much as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation};
use async_graphql::{ServerError, ValidationResult, async_trait};

use super::limits::{MAX_COMPLEXITY, refused};

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
        if before.saturating_add(result.complexity) <= MAX_COMPLEXITY {
            return Ok(result);
        }
        Err(vec![refused("TOO_COMPLEX", format!("the operations of a batch may cost {MAX_COMPLEXITY} together"))])
    }
}
