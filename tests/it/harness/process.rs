//! Processes of the program under test.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output};
use std::time::Duration;

use super::{note, within};

/// A process that runs until the test is over.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command that writes its log to this file.
    pub fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(&log).expect("a log file");
        let child = command.stderr(file).spawn().expect("the program starts");
        Self { child, log }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Panics where it has ended.
    pub fn check(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a state") {
            panic!("the program has ended by itself: {status}");
        }
    }

    /// Ends it as a power cut would: at whatever instruction it is.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    pub async fn terminate(&mut self, limit: Duration) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        within(limit, "the process ends", async || self.child.try_wait().expect("a state")).await
    }

    /// What it has written to its log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("a log")).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().rev().take(40).collect();
            note(format_args!("the end of {}:", self.log.display()));
            lines.iter().rev().for_each(note);
        }
    }
}

/// Runs a command that should succeed; its standard output.
pub fn answer(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    assert!(status.success(), "{command:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}
