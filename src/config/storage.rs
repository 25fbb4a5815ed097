//! Where exported files are kept, how they are given out, and how much may be uploaded.

use std::io;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::Path;

use connectors::storage::{ObjectFiles, S3Settings};
use serde::Deserialize;
use service::uploads::FileLimits;
use url::Url;

use super::Secret;
use super::check::Findings;

/// The `[storage]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// Empty for the folder `exports` in `data_dir`, or `s3://bucket/prefix`.
    pub url: String,
    /// Where the store is, unless it is Amazon's.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// The id of the access key; empty for what the machine has been given.
    pub access_key_id: Secret,
    /// The access key.
    pub secret_access_key: Secret,
    /// Whether it may be reached without encryption.
    pub allow_http: bool,
}

/// The `[exports]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportsConfig {
    /// For how many hours a link to a file is good.
    pub url_hours: NonZeroU16,
    /// For how many days a file is kept.
    pub keep_days: NonZeroU16,
}

/// The `[uploads]` table. Sizes are in MB.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadsConfig {
    /// The largest file, as it is sent.
    pub file_mb: NonZeroU32,
    /// As many files of one user are kept.
    pub user_files: NonZeroU32,
    /// As much these may have together.
    pub user_mb: NonZeroU32,
    /// As much the files of all users may have together.
    pub total_mb: NonZeroU32,
    /// As much of a file is imported, unpacked.
    pub unpacked_mb: NonZeroU32,
}

impl UploadsConfig {
    /// The same in bytes.
    #[must_use]
    pub fn limits(&self) -> FileLimits {
        let bytes = |megabytes: NonZeroU32| u64::from(megabytes.get()) << 20;
        FileLimits {
            file_bytes: bytes(self.file_mb),
            user_files: self.user_files.get().into(),
            user_bytes: bytes(self.user_mb),
            total_bytes: bytes(self.total_mb),
            unpacked_bytes: bytes(self.unpacked_mb),
        }
    }
}

impl StorageConfig {
    /// The store. Nothing is sent to it yet.
    ///
    /// # Errors
    /// Where the folder cannot be made, or the settings cannot be used.
    pub fn open(&self, data_dir: &Path) -> io::Result<ObjectFiles> {
        let Some((bucket, prefix)) = self.bucket() else {
            return ObjectFiles::in_folder(&data_dir.join("exports"));
        };
        let optional = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (id, key) = (&self.access_key_id, &self.secret_access_key);
        ObjectFiles::in_s3(&S3Settings {
            bucket,
            prefix,
            endpoint: optional(&self.endpoint),
            region: optional(&self.region),
            credentials: (!id.is_empty()).then(|| (id.expose().to_owned(), key.expose().to_owned())),
            allow_http: self.allow_http,
        })
    }

    /// Bucket and prefix, where it is no folder.
    fn bucket(&self) -> Option<(String, String)> {
        let rest = self.url.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Some((bucket.to_owned(), prefix.trim_matches('/').to_owned()))
    }

    /// Judges it.
    pub(super) fn check(&self, findings: &mut Findings<'_>) {
        let s3 = self.bucket();
        match &s3 {
            Some((bucket, _)) if bucket.is_empty() => {
                findings.error("storage.url", "it names no bucket", "write s3://bucket, or s3://bucket/prefix");
            }
            None if !self.url.is_empty() => {
                let advice = "write s3://bucket/prefix, or leave it empty for the folder exports in data_dir";
                findings.error("storage.url", "it does not begin with s3://", advice);
            }
            _ => {}
        }
        for (key, is_set) in [
            ("storage.endpoint", !self.endpoint.is_empty()),
            ("storage.access_key_id", !self.access_key_id.is_empty()),
            ("storage.secret_access_key", !self.secret_access_key.is_empty()),
        ] {
            if is_set && self.url.is_empty() {
                findings.warning(
                    key,
                    "without storage.url files are kept in data_dir",
                    "set storage.url to s3://bucket",
                );
            }
        }
        let (half, other) = ("storage.access_key_id", "storage.secret_access_key");
        match (self.access_key_id.is_empty(), self.secret_access_key.is_empty()) {
            (true, false) => findings.error(half, format!("it is empty, but {other} is not"), "set both, or none"),
            (false, true) => findings.error(other, format!("it is empty, but {half} is not"), "set both, or none"),
            _ => {}
        }
        self.check_endpoint(findings);
    }

    fn check_endpoint(&self, findings: &mut Findings<'_>) {
        let key = "storage.endpoint";
        if self.endpoint.is_empty() {
            return;
        }
        match Url::parse(&self.endpoint) {
            Ok(url) if url.scheme() == "http" && !self.allow_http => {
                let advice = "write https://, or set storage.allow_http in your own network";
                findings.error(key, "personal data would travel unencrypted", advice);
            }
            Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => {
                findings.error(key, "it begins with neither https:// nor http://", "write https://s3.example.com");
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                let advice = "set storage.access_key_id and storage.secret_access_key instead";
                findings.error(key, "it holds a user or a password", advice);
            }
            Ok(_) => {}
            Err(error) => findings.error(key, format!("it is not a URL ({error})"), "write https://s3.example.com"),
        }
    }
}
