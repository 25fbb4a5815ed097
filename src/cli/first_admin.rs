//! How the first admin signs in: shown on a terminal, and kept in a file for its owner alone until somebody has signed in.
//!
//! Where the standard error is no terminal it is a log, which others may read: there only the file's path is named.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use service::accounts::{FIRST_ADMIN_FILE, FirstAdmin};

use super::output;
use crate::serving::Serving;

/// Makes the first admin where there is nobody, and says how to sign in as long as nobody has.
///
/// # Errors
/// Those of the database; where the file cannot be written, before anybody is made.
pub async fn welcome(serving: &Serving) -> anyhow::Result<()> {
    let file = serving.data_dir().join(FIRST_ADMIN_FILE);
    if serving.has_users().await? {
        return if serving.has_signed_in().await? { Ok(forget(&file)?) } else { show(&file, serving.requires_totp()) };
    }
    // Written before somebody is made whose password nobody would know otherwise.
    let draft = Draft::new(&file).with_context(|| {
        format!(
            "while preparing {}, which is to hold the first admin's password: make data_dir writable",
            file.display()
        )
    })?;
    if let Some(admin) = serving.first_admin().await? {
        draft.publish(&admin, &file).with_context(|| format!("while writing {}", file.display()))?;
    }
    show(&file, serving.requires_totp())
}

/// Says how to sign in, or where that stands.
fn show(file: &Path, requires_totp: bool) -> anyhow::Result<()> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        // Another process makes it just now, or somebody has removed it.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("while reading {}", file.display())),
    };
    if io::stderr().is_terminal() {
        output::note("Nobody has signed in yet. The first admin:");
        text.lines().filter(|line| !line.starts_with('#')).for_each(output::note);
    } else {
        output::note(format_args!("Nobody has signed in yet. How the first admin does: {}", file.display()));
    }
    if requires_totp {
        output::note("Admins need a second factor here: nachfass user totp enable ADDRESS");
    }
    output::note("Others are added by: nachfass user add");
    Ok(())
}

fn forget(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file that has not got its name yet; removed unless it gets it.
struct Draft(PathBuf);

impl Draft {
    fn new(file: &Path) -> io::Result<Self> {
        let draft = file.with_extension(format!("{}.draft", std::process::id()));
        forget(&draft)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        Ok(Self(draft))
    }

    fn publish(&self, admin: &FirstAdmin, file: &Path) -> io::Result<()> {
        let mut draft = OpenOptions::new().write(true).open(&self.0)?;
        writeln!(
            draft,
            "# The first admin of this installation. nachfass removes this file once somebody has signed in."
        )?;
        writeln!(draft, "  address   {}", admin.email)?;
        writeln!(draft, "  password  {}", admin.password.expose())?;
        draft.sync_all()?;
        fs::rename(&self.0, file)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It has its name already, or nobody needs it.
        forget(&self.0).ok();
    }
}
