//! File descriptors: every connection needs one, and the usual limit of 1,024 is soon reached.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many are asked for.
const WANTED: u64 = 65_536;
/// With fewer there is a warning.
const ENOUGH: u64 = 4_096;
/// Kept for the database, Redis, files and what the program opens itself.
const RESERVED: u64 = 256;
/// More connections than these are of no use on one machine.
const MOST_CONNECTIONS: u64 = 20_000;

/// Raises the soft limit as far as is wanted and allowed; answers how many connections there may be.
pub fn prepare() -> usize {
    let limit = raise(getrlimit(Resource::Nofile));
    if limit < ENOUGH {
        tracing::warn!(limit, wanted = WANTED, "file descriptor limit low; raise it (ulimit -n, LimitNOFILE=)");
    }
    usize::try_from(connections(limit)).unwrap_or(usize::MAX)
}

fn raise(found: Rlimit) -> u64 {
    let soft = found.current.unwrap_or(u64::MAX);
    let wanted = found.maximum.unwrap_or(u64::MAX).min(WANTED);
    if soft >= wanted {
        return soft;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..found }) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::warn!(%error, "file descriptor limit not raised");
            soft
        }
    }
}

fn connections(descriptors: u64) -> u64 {
    descriptors.saturating_sub(RESERVED).clamp(64, MOST_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_for_everything_else() {
        assert_eq!(connections(u64::MAX), MOST_CONNECTIONS);
        assert_eq!(connections(1_024), 768);
        assert_eq!(connections(100), 64);
    }
}
