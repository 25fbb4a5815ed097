//! Memory that the bodies of all requests of the process share.
//!
//! It is counted in kilobytes, as bodies grow, and never waited for: what does not fit is refused, and may come again. The first 64 KB of
//! each body come from a part that large bodies cannot use up, so that ordinary requests get through whatever else is sent.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::errors::ApiError;

/// The unit, in bytes.
const UNIT: usize = 1024;
/// As many bytes of each body come from the part for small ones.
const SMALL: usize = 64 * 1024;

/// What there is for all bodies together.
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
    /// Bytes for the beginnings of bodies.
    pub const SMALL_BYTES: usize = 16 << 20;
    /// Bytes for the rest of large bodies: four of the largest, and what they are unpacked from.
    pub const LARGE_BYTES: usize = 40 << 20;
    /// Requests that are read or worked on at once.
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

    /// The part of a request that begins, nothing yet.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] where there are too many.
    pub fn request(&self) -> Result<Hold, ApiError> {
        let request = self.requests.clone().try_acquire_owned().map_err(|_| ApiError::Overloaded)?;
        let share = |semaphore: &Arc<Semaphore>| Share { semaphore: semaphore.clone(), permit: None };
        Ok(Hold { small: share(&self.small), large: share(&self.large), _request: request })
    }

    /// A turn to decompress: a few bodies at a time. Who waits for it holds bytes of the budget, so few do.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.work.clone().acquire_owned().await.ok()
    }
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    small: Share,
    large: Share,
    _request: OwnedSemaphorePermit,
}

impl Hold {
    /// Makes it so many bytes.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] where there are not so many left.
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
    fn requests_are_counted_before_they_send_anything() {
        let budget = Budget::new(1 << 20, 1 << 20, 2);
        let held = (budget.request().expect("room"), budget.request().expect("room"));
        assert!(matches!(budget.request(), Err(ApiError::Overloaded)));
        drop(held);
        assert!(budget.request().is_ok());
    }

    proptest! {
        #[test]
        fn what_is_given_back_is_what_was_taken(sizes in prop::collection::vec((0_usize..4, 0_usize..3_000_000), 0..40)) {
            let budget = Budget::new(1 << 20, 4 << 20, 4);
            let mut holds: Vec<Hold> = (0..4).map(|_| budget.request().expect("room")).collect();
            let mut held = [0_usize; 4];
            for (which, size) in sizes {
                if holds[which].resize(size).is_ok() {
                    held[which] = size;
                } else {
                    // What did not fit is given up as a whole, as its request is.
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
