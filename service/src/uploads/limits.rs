//! How much may be uploaded, and what is being uploaded now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const MB: u64 = 1 << 20;

/// How much may be uploaded, and how much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// The largest file, as it is sent, in bytes.
    pub file_bytes: u64,
    /// As many files of one user are kept.
    pub user_files: u64,
    /// As many bytes these may have together.
    pub user_bytes: u64,
    /// As many bytes the files of all users may have together.
    pub total_bytes: u64,
    /// As many bytes of a file are imported, unpacked.
    pub unpacked_bytes: u64,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self {
            file_bytes: 2_048 * MB,
            user_files: 20,
            user_bytes: 4_096 * MB,
            total_bytes: 10_240 * MB,
            unpacked_bytes: 4_096 * MB,
        }
    }
}

/// As many uploads of one user go on at the same time, in each process.
pub const AT_ONCE_EACH: usize = 3;
/// As many go on at the same time, in each process.
pub const AT_ONCE: usize = 24;

/// The uploads that go on in this process.
#[derive(Clone, Debug, Default)]
pub struct Underway(Arc<Mutex<HashMap<String, Flight>>>);

/// The uploads of one user that go on.
#[derive(Clone, Copy, Debug, Default)]
struct Flight {
    count: usize,
    bytes: u64,
}

/// How much is being uploaded, by one user and by all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many files the user is sending.
    pub user_files: u64,
    /// As many bytes of them are here.
    pub user_bytes: u64,
    /// As many bytes of everybody's files are here.
    pub total_bytes: u64,
}

impl Underway {
    /// Begins an upload; `None` where too many go on.
    #[must_use]
    pub fn begin(&self, user: &str) -> Option<Sending> {
        let mut flights = self.flights();
        let all: usize = flights.values().map(|flight| flight.count).sum();
        let own = flights.get(user).map_or(0, |flight| flight.count);
        if all >= AT_ONCE || own >= AT_ONCE_EACH {
            return None;
        }
        flights.entry(user.to_owned()).or_default().count += 1;
        Some(Sending { underway: self.clone(), user: user.to_owned(), bytes: 0 })
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<String, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload that goes on; over when it is dropped.
#[derive(Debug)]
pub struct Sending {
    underway: Underway,
    user: String,
    bytes: u64,
}

impl Sending {
    /// Counts bytes that have come in.
    pub fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(flight) = self.underway.flights().get_mut(&self.user) {
            flight.bytes = flight.bytes.saturating_add(bytes);
        }
    }

    /// What goes on, this upload included.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let flights = self.underway.flights();
        let own = flights.get(&self.user).copied().unwrap_or_default();
        Traffic {
            user_files: own.count.try_into().unwrap_or(u64::MAX),
            user_bytes: own.bytes,
            total_bytes: flights.values().fold(0, |sum, flight| sum.saturating_add(flight.bytes)),
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut flights = self.underway.flights();
        if let Some(flight) = flights.get_mut(&self.user) {
            flight.count = flight.count.saturating_sub(1);
            flight.bytes = flight.bytes.saturating_sub(self.bytes);
            if flight.count == 0 {
                flights.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_uploads_go_on_as_may_and_ending_one_makes_room() {
        let underway = Underway::default();
        let mut own: Vec<Sending> = (0..AT_ONCE_EACH).map(|_| underway.begin("user:1").expect("room")).collect();
        assert!(underway.begin("user:1").is_none());
        own.iter_mut().for_each(|sending| sending.add(10));
        let mut other = underway.begin("user:2").expect("room for somebody else");
        other.add(5);
        assert_eq!(other.traffic(), Traffic { user_files: 1, user_bytes: 5, total_bytes: 35 });
        own.pop();
        assert_eq!(other.traffic().total_bytes, 25);
        assert!(underway.begin("user:1").is_some());
        let all: Vec<Sending> = (3..100).filter_map(|user| underway.begin(&format!("user:{user}"))).collect();
        assert_eq!(all.len(), AT_ONCE - 3);
        drop((own, other, all));
        assert!(underway.flights().is_empty());
    }
}
