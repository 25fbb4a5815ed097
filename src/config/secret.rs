//! What must not be seen: configured secrets, and the key of the installation.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// A configured text that no log and no message shows.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing is configured.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret(unset)" } else { "Secret(set)" })
    }
}

/// The key of the installation: signs links and sessions, encrypts what is stored secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; Self::LENGTH]);

/// Why there is no key to work with.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeyError {
    /// The configured key is something else.
    #[error("secret_key is not 32 bytes as base64; make one with: openssl rand -base64 32")]
    Configured,
    /// The kept key is something else. It is not replaced: what was encrypted with it would be lost.
    #[error("{} does not hold 32 bytes as base64; restore it, or remove it to have a new one made", .0.display())]
    Kept(PathBuf),
    /// The file could not be read or written.
    #[error("cannot read or create the secret key {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl SecretKey {
    /// Its bytes.
    pub const LENGTH: usize = 32;

    /// Where the key is kept within `data_dir`.
    pub const FILE_NAME: &str = "secret.key";

    /// The key itself.
    #[must_use]
    pub const fn expose(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// From base64, with or without space around it.
    pub(super) fn decode(text: &str) -> Option<Self> {
        STANDARD.decode(text.trim()).ok()?.try_into().ok().map(Self)
    }

    /// The key kept in `folder`, made where there is none yet. Processes that start at the same time agree on one.
    pub(super) fn load_or_create(folder: &Path) -> Result<Self, SecretKeyError> {
        let path = folder.join(Self::FILE_NAME);
        let failed = |source| SecretKeyError::File { path: path.clone(), source };
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                create(folder, &path).and_then(|()| std::fs::read_to_string(&path))
            }
            read => read,
        };
        Self::decode(&text.map_err(failed)?).ok_or(SecretKeyError::Kept(path))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Writes a new key beside `path` and gives it that name only when it is complete, and only where nobody was faster:
/// nobody ever reads half a key, and the first one stays.
fn create(folder: &Path, path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    // Created with mode 0600, and removed again unless it gets its name.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{}", STANDARD.encode(rand::random::<[u8; SecretKey::LENGTH]>()))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        // The name must survive a power cut as well: what is encrypted from now on is lost without it.
        Ok(_) => std::fs::File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().join("not/there/yet");
        let first = SecretKey::load_or_create(&data_dir).expect("made");
        assert_eq!(SecretKey::load_or_create(&data_dir).expect("kept"), first);
        let file = std::fs::metadata(data_dir.join(SecretKey::FILE_NAME)).expect("the file");
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&data_dir).expect("the folder").count(), 1);
    }

    #[test]
    fn processes_that_start_together_agree() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = std::sync::Barrier::new(8);
        let keys: Vec<_> = std::thread::scope(|scope| {
            let one = || {
                start.wait();
                SecretKey::load_or_create(folder.path()).expect("a key")
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_damaged_key_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(SecretKey::FILE_NAME);
        std::fs::write(&path, "c2hvcnQ=").expect("written");
        let error = SecretKey::load_or_create(folder.path()).expect_err("refused");
        assert!(matches!(error, SecretKeyError::Kept(_)), "{error}");
        assert!(!error.to_string().contains("c2hvcnQ"));
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "c2hvcnQ=");
    }

    #[test]
    fn neither_secret_shows_itself() {
        let key = SecretKey::decode(&STANDARD.encode([7; 32])).expect("a key");
        assert_eq!(format!("{key:?} {:?}", Secret::from("hush".to_owned())), "SecretKey(..) Secret(set)");
    }
}
