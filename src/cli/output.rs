//! Where words go: data to the standard output, everything else to the standard error.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// Writes a line of data.
///
/// # Errors
/// Where the standard output is closed.
pub fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes a line for people.
pub fn note(text: impl Display) {
    // Nobody is there to be told that nobody is listening.
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// Says what went wrong, with its causes.
pub fn complain(error: &anyhow::Error) {
    note(format_args!("error: {error}"));
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if cause != last {
            note(format_args!("  because: {cause}"));
        }
        last = cause;
    }
}

/// Says what went wrong, and that the command failed.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    complain(error);
    ExitCode::FAILURE
}

/// The exit status of a command.
pub fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// `nachfass … | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(closed)
}
