//! A memory budget shared by the bodies of all webhook requests of the process.
//!
//! It is counted in kilobytes as bodies grow. A request that does not fit is refused (503), never queued. The first 64 KB of each body
//! come from a separate part that large bodies cannot exhaust, so ordinary requests always get through.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::errors::ApiError;

/// Bytes per permit.
const UNIT: usize = 1024;
/// Bytes of each body that come from the part for small bodies.
const SMALL: usize = 64 * 1024;

/// The budget; cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    work: Arc<Semaphore>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::SMALL_BYTES, Self::LARGE_BYTES, Self::REQUESTS)
    }
}

impl Budget {
    /// Total for the first 64 KB of all bodies, in bytes.
    pub const SMALL_BYTES: usize = 16 << 20;
    /// Total for the remainder of all bodies, in bytes: four of the maximum size.
    pub const LARGE_BYTES: usize = 40 << 20;
    /// Maximum number of concurrent requests.
    pub const REQUESTS: usize = 4_096;

    fn new(small: usize, large: usize, requests: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        Self {
            small: semaphore(small / UNIT),
            large: semaphore(large / UNIT),
            requests: semaphore(requests),
            work: semaphore((cores / 2).clamp(1, 4)),
        }
    }

    /// Admits a request; it holds no bytes yet.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] if there are too many requests.
    pub fn request(&self) -> Result<Hold, ApiError> {
        let request = self.requests.clone().try_acquire_owned().map_err(|_| ApiError::Overloaded)?;
        let share = |semaphore: &Arc<Semaphore>| Share { semaphore: semaphore.clone(), permit: None };
        Ok(Hold { small: share(&self.small), large: share(&self.large), _request: request })
    }

    /// Waits for permission to decompress; few bodies are decompressed at once. The queue is bounded because everyone in it holds bytes.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.work.clone().acquire_owned().await.ok()
    }
}

/// A share of the budget, released when dropped.
#[derive(Debug)]
pub struct Hold {
    small: Share,
    large: Share,
    _request: OwnedSemaphorePermit,
}

impl Hold {
    /// Changes the size of the share to `bytes`.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] if the budget is exhausted.
    pub fn resize(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.small.resize(bytes.min(SMALL).div_ceil(UNIT))?;
        self.large.resize(bytes.saturating_sub(SMALL).div_ceil(UNIT))
    }
}

#[derive(Debug)]
struct Share {
    semaphore: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Share {
    fn resize(&mut self, units: usize) -> Result<(), ApiError> {
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if let Some(surplus) = held.checked_sub(units) {
            drop(self.permit.as_mut().and_then(|permit| permit.split(surplus)));
            return Ok(());
        }
        let missing = u32::try_from(units.saturating_sub(held)).map_err(|_| ApiError::Overloaded)?;
        let more = self.semaphore.clone().try_acquire_many_owned(missing).map_err(|_| ApiError::Overloaded)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn left(budget: &Budget) -> (usize, usize, usize) {
        (budget.small.available_permits(), budget.large.available_permits(), budget.requests.available_permits())
    }

    #[test]
    fn large_bodies_leave_room_for_small_ones() {
        let budget = Budget::new(1 << 20, 1 << 20, 100);
        let mut large = budget.request().expect("room");
        large.resize((1 << 20) + SMALL).expect("room");
        let mut another = budget.request().expect("room");
        assert!(matches!(another.resize(SMALL + 1), Err(ApiError::Overloaded)));
        let small: Vec<Hold> = (0..14)
            .map(|_| {
                let mut hold = budget.request().expect("room");
                hold.resize(SMALL).expect("room");
                hold
            })
            .collect();
        drop((large, another, small));
        assert_eq!(left(&budget), (1024, 1024, 100));
    }

    #[test]
    fn the_number_of_requests_is_limited() {
        let budget = Budget::new(1 << 20, 1 << 20, 2);
        let held = (budget.request().expect("room"), budget.request().expect("room"));
        assert!(matches!(budget.request(), Err(ApiError::Overloaded)));
        drop(held);
        assert!(budget.request().is_ok());
    }

    proptest! {
        #[test]
        fn everything_is_released(sizes in prop::collection::vec((0_usize..4, 0_usize..3_000_000), 0..40)) {
            let budget = Budget::new(1 << 20, 4 << 20, 4);
            let mut holds: Vec<Hold> = (0..4).map(|_| budget.request().expect("room")).collect();
            let mut held = [0_usize; 4];
            for (which, size) in sizes {
                if holds[which].resize(size).is_ok() {
                    held[which] = size;
                } else {
                    // A request that does not fit is given up as a whole.
                    holds[which].resize(0).expect("less");
                    held[which] = 0;
                }
                let large: usize = held.iter().map(|size| size.saturating_sub(SMALL).div_ceil(UNIT)).sum();
                prop_assert_eq!(left(&budget).1, 4096 - large);
            }
            drop(holds);
            prop_assert_eq!(left(&budget), (1024, 4096, 4));
        }
    }
}
