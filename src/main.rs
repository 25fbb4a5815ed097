//! nachfass: what became of every recipient of an e-mail campaign, and what to do about it.

use std::process::ExitCode;

// The system's allocator keeps what many short-lived bodies and rows leave behind; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nachfass::cli::main()
}
