//! Keeping files: in a folder, or in an S3-compatible store.

#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use domain::storage::{Content, FileStore, StoreError};
use futures::future::{BoxFuture, FutureExt};
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ClientOptions, GetOptions, ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// So many bytes are sent at once to a store that is elsewhere. S3 takes 10,000 of them: up to 80 GB.
const PART: usize = 8 << 20;
/// So many parts travel at the same time.
const PARTS_AT_ONCE: usize = 2;

/// How an S3-compatible store is reached.
#[derive(Clone, Default)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// What the names of our objects begin with; may be empty.
    pub prefix: String,
    /// Where it is, unless it is Amazon's.
    pub endpoint: Option<String>,
    /// The region; Amazon's first one where nothing is said.
    pub region: Option<String>,
    /// Key id and key; without them those that the machine has been given (Amazon's metadata service, web identity).
    pub credentials: Option<(String, String)>,
    /// Whether it may be reached without encryption.
    pub allow_http: bool,
}

/// Keeps files in an object store.
#[derive(Debug)]
pub struct ObjectFiles {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    /// The folder, where it is one: files move there instead of being copied.
    folder: Option<PathBuf>,
}

impl ObjectFiles {
    /// Files in a folder, which is made where there is none, for nobody else on the machine.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(io::Error::other)?;
        Ok(Self { store: Arc::new(store), prefix: Key::default(), folder: Some(folder.to_owned()) })
    }

    /// Files in an S3-compatible store. Nothing is sent yet.
    ///
    /// # Errors
    /// Where the settings cannot be used.
    pub fn in_s3(settings: &S3Settings) -> io::Result<Self> {
        let options = ClientOptions::new().with_allow_http(settings.allow_http);
        // One file at a time goes: that needs no other request than every such store knows.
        let builder = AmazonS3Builder::new().with_disable_bulk_delete(true);
        let mut builder = builder.with_bucket_name(&settings.bucket).with_client_options(options);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        if let Some((id, key)) = &settings.credentials {
            builder = builder.with_access_key_id(id).with_secret_access_key(key);
        }
        let store = builder.build().map_err(io::Error::other)?;
        Ok(Self { store: Arc::new(store), prefix: Key::from(settings.prefix.as_str()), folder: None })
    }

    fn key(&self, name: &str) -> Key {
        self.prefix.clone().join(name)
    }

    async fn move_into(folder: &Path, name: &str, path: &Path) -> io::Result<u64> {
        let file = File::open(path).await?;
        let size = file.metadata().await?.len();
        // What the database will say is there must be there after a loss of power, too.
        file.sync_all().await?;
        tokio::fs::rename(path, folder.join(name)).await?;
        File::open(folder).await?.sync_all().await?;
        Ok(size)
    }

    async fn send(&self, name: &str, path: &Path) -> Result<u64, StoreError> {
        let mut file = File::open(path).await.map_err(outside)?;
        let upload = self.store.put_multipart(&self.key(name)).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut size: u64 = 0;
        loop {
            let mut piece = BytesMut::with_capacity(PART);
            while piece.len() < PART {
                if file.read_buf(&mut piece).await.map_err(outside)? == 0 {
                    break;
                }
            }
            if piece.is_empty() {
                break;
            }
            size = size.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(failed)?;
            upload.put(piece.freeze());
        }
        // Gives up what was sent where a part of it fails.
        upload.finish().await.map_err(failed)?;
        Ok(size)
    }
}

impl FileStore for ObjectFiles {
    fn put<'a>(&'a self, name: &'a str, path: &'a Path) -> BoxFuture<'a, Result<u64, StoreError>> {
        async move {
            match &self.folder {
                Some(folder) => match Self::move_into(folder, name, path).await {
                    // The folder is a disk of its own.
                    Err(error) if error.kind() == io::ErrorKind::CrossesDevices => self.send(name, path).await,
                    moved => moved.map_err(outside),
                },
                None => self.send(name, path).await,
            }
        }
        .boxed()
    }

    fn open<'a>(&'a self, name: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Content, StoreError>> {
        async move {
            let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
            let found = self.store.get_opts(&self.key(name), options).await.map_err(failed)?;
            Ok(found.into_stream().map_err(io::Error::other).boxed())
        }
        .boxed()
    }

    fn size<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, StoreError>> {
        async move { Ok(self.store.head(&self.key(name)).await.map_err(failed)?.size) }.boxed()
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            match self.store.delete(&self.key(name)).await.map_err(failed) {
                Err(StoreError::NotFound) => Ok(()),
                deleted => deleted,
            }
        }
        .boxed()
    }
}

fn failed(error: object_store::Error) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::NotFound,
        other => StoreError::Failed(other.into()),
    }
}

fn outside(error: io::Error) -> StoreError {
    StoreError::Failed(error.into())
}
