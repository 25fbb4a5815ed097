//! Files and folders for nobody else on the machine: what is made gets its mode from the process, what earlier versions made is
//! tightened at the start.

use std::ffi::OsStr;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::{geteuid, umask};

use crate::config::{Config, SecretKey};

/// What the group and everybody else may do.
pub const OTHERS: u32 = 0o077;

/// What a folder has in which everybody may make files, such as `/tmp`.
const STICKY: u32 = 0o1000;

/// The files in the data folder that are ours.
const FILES: &[&str] = &[
    SecretKey::FILE_NAME,
    service::accounts::FIRST_ADMIN_FILE,
    Config::SQLITE_FILE,
    "nachfass.sqlite-wal",
    "nachfass.sqlite-shm",
    "nachfass.sqlite-journal",
];
/// The folders in it that are ours, with everything in them.
const FOLDERS: &[&str] = &["uploads", "exports", "unfinished"];

/// Has everything that this process makes from now on be its user's alone.
pub fn keep() {
    let others = Mode::RWXG | Mode::RWXO;
    let before = umask(others);
    if !others.contains(before) {
        umask(others | before);
    }
}

/// Takes the rights on the data folder and on what of it is ours from everybody but its owner, where that is this user.
/// What is not ours or somebody else's is left as it is; `config check` warns about it.
pub fn tighten(config: &Config) {
    let mut open = Vec::new();
    if let Err(error) = collect(&config.data_dir, &mut open) {
        tracing::warn!(%error, "the data folder could not be looked through for open files");
    }
    for path in sqlite_files(config) {
        add(&path, &mut open);
    }
    for (path, metadata) in open {
        let mode = metadata.permissions().mode() & !OTHERS & 0o7777;
        match fs::set_permissions(&path, Permissions::from_mode(mode)) {
            Ok(()) => tracing::info!(path = %path.display(), "file permissions tightened"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "file permissions not tightened"),
        }
    }
}

/// Collects what is open to others: the folder first, so that nobody gets in any more.
fn collect(folder: &Path, open: &mut Vec<(PathBuf, Metadata)>) -> io::Result<()> {
    let entries: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let is_one_of = |path: &Path, names: &[&str]| names.iter().any(|name| path.file_name() == Some(OsStr::new(name)));
    let is_foreign = |path: &PathBuf| path.is_dir() && !is_one_of(path, FOLDERS) && !is_one_of(path, &["lost+found"]);
    let is_shared = fs::metadata(folder)?.permissions().mode() & STICKY != 0;
    // Somebody's home, or a folder of the system, is not only nachfass's: there the files alone are closed.
    if !is_shared && !entries.iter().any(is_foreign) {
        add(&fs::canonicalize(folder)?, open);
    }
    for path in &entries {
        if is_one_of(path, FILES) {
            add(path, open);
        } else if is_one_of(path, FOLDERS) && fs::symlink_metadata(path)?.is_dir() {
            add(path, open);
            fs::read_dir(path)?.filter_map(Result::ok).for_each(|entry| add(&entry.path(), open));
        }
    }
    Ok(())
}

/// The files of an SQLite database that is configured to be elsewhere.
fn sqlite_files(config: &Config) -> Vec<PathBuf> {
    let url = config.database_url.expose();
    let Some(rest) = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) else { return Vec::new() };
    let path = rest.split('?').next().unwrap_or_default();
    ["", "-wal", "-shm", "-journal"].iter().map(|end| PathBuf::from(format!("{path}{end}"))).collect()
}

/// Adds a file or folder that is this user's and open to others. Links are not followed.
fn add(path: &Path, open: &mut Vec<(PathBuf, Metadata)>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let is_plain = metadata.is_file() || metadata.is_dir();
    if is_plain && metadata.uid() == geteuid().as_raw() && metadata.permissions().mode() & OTHERS != 0 {
        open.push((path.to_owned(), metadata));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    fn open(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
    }

    fn config(folder: &Path, more: &str) -> Config {
        let file = folder.join("nachfass.toml");
        fs::write(&file, format!("data_dir = \"{}\"\n{more}", folder.join("data").display())).expect("written");
        Config::load_from(Some(&file), []).expect("readable")
    }

    /// An installation as a version before made it with a usual umask.
    fn made_before(folder: &Path) -> PathBuf {
        let data = folder.join("data");
        for name in FOLDERS {
            fs::create_dir_all(data.join(name)).expect("made");
            fs::write(data.join(name).join("file"), "x").expect("written");
            open(&data.join(name).join("file"), 0o644);
            open(&data.join(name), 0o755);
        }
        for name in FILES.iter().copied().chain(["notes.txt"]) {
            fs::write(data.join(name), "x").expect("written");
            open(&data.join(name), 0o664);
        }
        open(&data, 0o755);
        data
    }

    #[test]
    fn what_an_earlier_version_left_open_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = made_before(folder.path());
        tighten(&config(folder.path(), ""));
        assert_eq!(mode(&data), 0o700);
        for name in FOLDERS {
            assert_eq!((mode(&data.join(name)), mode(&data.join(name).join("file"))), (0o700, 0o600), "{name}");
        }
        for name in FILES {
            assert_eq!(mode(&data.join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&data.join("notes.txt")), 0o664, "not ours");
    }

    #[test]
    fn a_folder_that_holds_other_things_and_what_a_link_leads_to_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = made_before(folder.path());
        fs::create_dir(data.join("other")).expect("made");
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "x").expect("written");
        open(&elsewhere, 0o644);
        fs::remove_file(data.join(SecretKey::FILE_NAME)).expect("removed");
        std::os::unix::fs::symlink(&elsewhere, data.join(SecretKey::FILE_NAME)).expect("linked");
        tighten(&config(folder.path(), ""));
        assert_eq!((mode(&data), mode(&elsewhere)), (0o755, 0o644));
        assert_eq!(mode(&data.join(Config::SQLITE_FILE)), 0o600);
    }

    #[test]
    fn a_database_elsewhere_is_closed_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("other.db");
        for end in ["", "-wal", "-shm"] {
            let path = PathBuf::from(format!("{}{end}", database.display()));
            fs::write(&path, "x").expect("written");
            open(&path, 0o644);
        }
        fs::create_dir(folder.path().join("data")).expect("made");
        tighten(&config(folder.path(), &format!("database_url = \"sqlite://{}?mode=rwc\"", database.display())));
        for end in ["", "-wal", "-shm"] {
            assert_eq!(mode(&PathBuf::from(format!("{}{end}", database.display()))), 0o600, "{end}");
        }
    }
}
