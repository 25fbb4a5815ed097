//! Where files lie that jobs made.

use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

/// Why a file could not be stored, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there.
    #[error("the file is not there")]
    NotFound,
    /// The store failed; it may not the next time.
    #[error("the file store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The bytes of a file, a piece at a time.
pub type Content = BoxStream<'static, io::Result<Bytes>>;

/// Keeps files under names: letters, digits, `-` and `.`.
pub trait FileStore: Send + Sync + 'static {
    /// Stores the file at `path` under `name`, in place of what was there under it. The file at `path` may be gone after that.
    /// Nobody ever sees half of it. Returns its size in bytes.
    fn put<'a>(&'a self, name: &'a str, path: &'a Path) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// The bytes of a file within `range`, which is not empty and lies within the file.
    fn open<'a>(&'a self, name: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Content, StoreError>>;

    /// How many bytes a file has.
    fn size<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Deletes a file; one that is not there is gone already.
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;
}
