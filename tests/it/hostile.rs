//! Hostile input against the real program: it goes on serving others, its memory stays bounded, and it says why it refuses.

mod accounts;
mod connections;
mod files;
mod graphql;
mod ingest;
mod supply;

use crate::harness::Process;

/// The most memory that a process has used so far, in bytes (`VmHWM`); Linux only.
pub(crate) fn peak_memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}
