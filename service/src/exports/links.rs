//! Links to files: whoever has one may download the file, until it ends. So it is signed, and ends soon.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Timestamp;
use domain::storage::{Content, StoreError};
use entity::export_file;
use hmac::{Hmac, KeyInit, Mac};
use sea_orm::EntityTrait;
use sha2::Sha256;

use super::ExportResult;
use crate::access::{Reader, Services};
use crate::error::{Result, ServiceError};
use crate::keys;

/// Signs and verifies links.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

impl LinkKey {
    /// A key of its own, derived from the installation's.
    #[must_use]
    pub fn derive(secret: &[u8; 32]) -> Self {
        Self(keys::derive(secret, "nachfass export link"))
    }

    fn mac(&self, id: &str, expires: i64) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(format!("{expires}:{id}").as_bytes());
        Some(mac)
    }

    /// The signature of a link to the file `id` that ends `expires` seconds after the epoch.
    pub(crate) fn sign(&self, id: &str, expires: i64) -> Option<String> {
        Some(URL_SAFE_NO_PAD.encode(self.mac(id, expires)?.finalize().into_bytes()))
    }

    /// Whether it is that signature; compared in constant time.
    pub(crate) fn verify(&self, id: &str, expires: i64, signature: &str) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        self.mac(id, expires).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
    }
}

/// A link to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadLink {
    /// The link, whole.
    pub url: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A file to be downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportFile {
    /// Its id: another file has another one, and a file does not change.
    pub id: String,
    /// What to call it.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub size: u64,
}

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// To a file that is there.
    There(ExportFile),
    /// It was not made here, or changed.
    Forged,
    /// It has ended, or the file was removed.
    Over,
    /// To a file that never was.
    Unknown,
}

impl Reader {
    /// A new link to the file that an export made; `None` for those who may not see personal data, and once the file goes.
    #[must_use]
    pub fn download_link(&self, result: &ExportResult) -> Option<DownloadLink> {
        let exports = self.services.exports.as_ref().filter(|_| self.subject.sees_personal_data())?;
        let now = self.services.now();
        let expires_at = now.plus_seconds(exports.options.url_hours * 3_600).min(result.expires_at);
        if expires_at <= now {
            return None;
        }
        let (id, expires) = (&result.file_id, expires_at.seconds());
        let signature = self.services.link_key.sign(id, expires)?;
        let url = format!("{}/exports/{id}?expires={expires}&signature={signature}", exports.options.public_url);
        Some(DownloadLink { url, expires_at: Timestamp::from_seconds(expires) })
    }
}

impl Services {
    /// What a link leads to: the file `id`, until `expires` seconds after the epoch.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn follow_link(&self, id: &str, expires: i64, signature: &str) -> Result<LinkState> {
        if !self.link_key.verify(id, expires, signature) {
            return Ok(LinkState::Forged);
        }
        let now = self.now();
        if Timestamp::from_seconds(expires) <= now {
            return Ok(LinkState::Over);
        }
        let Some(row) = export_file::Entity::find_by_id(id).one(self.db.read()).await? else {
            return Ok(LinkState::Unknown);
        };
        if row.removed_at.is_some() || row.expires_at <= now.micros() {
            return Ok(LinkState::Over);
        }
        let size = u64::try_from(row.size).unwrap_or_default();
        Ok(LinkState::There(ExportFile { id: row.id, name: row.name, content_type: row.content_type, size }))
    }

    /// The bytes of a file within `range`, which is not empty and lies within it; `None` where it was removed meanwhile.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn read_export(&self, file: &ExportFile, range: Range<u64>) -> Result<Option<Content>> {
        match self.exports()?.files.open(&file.id, range).await {
            Ok(content) => Ok(Some(content)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(ServiceError::outside("the file store", error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_one_file_and_one_end() {
        let key = LinkKey::derive(&[7; 32]);
        let signature = key.sign("one", 1_000).expect("signed");
        assert!(key.verify("one", 1_000, &signature));
        for (id, expires) in [("two", 1_000), ("one", 1_001), ("0:one", 100), ("", 1_000)] {
            assert!(!key.verify(id, expires, &signature), "{id} {expires}");
        }
        let shorter = signature.get(1..).expect("ASCII");
        for broken in ["", "AAAA", "=", &signature.to_lowercase(), shorter] {
            assert!(!key.verify("one", 1_000, broken), "{broken}");
        }
        assert!(!LinkKey::derive(&[8; 32]).verify("one", 1_000, &signature));
    }
}
